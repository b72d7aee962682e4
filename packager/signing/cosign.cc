#include "packager/signing/cosign.h"

#include <boost/json/object.hpp>

#include "base/base64.h"
#include "base/json.h"
#include "packager/reference.h"

namespace bundle::packager::signing {
namespace {

constexpr std::string_view kType = "cosign container image signature";

}  // namespace

std::string cosign_payload(std::string_view manifest_digest, std::string_view identity) {
  return print_json(JsonObject{
      {"critical", JsonObject{{"identity", JsonObject{{"docker-reference", identity}}},
                              {"image", JsonObject{{"docker-manifest-digest", manifest_digest}}},
                              {"type", kType}}},
      {"optional", nullptr}});
}

Result<std::string> cosign_sign(std::string_view payload, const PrivateKey& key) {
  BUNDLE_TRY(const std::string signature, key.sign(payload, SignatureHash::kSha256));
  return base64_encode(signature);
}

bool is_cosigned_by(std::string_view payload, std::string_view signature, const PublicKey& key) {
  const auto raw = base64_decode(signature, "");
  return raw && key.verify(payload, *raw, SignatureHash::kSha256);
}

Result<CosignClaim> read_cosign_payload(std::string_view payload, const std::string& where) {
  BUNDLE_TRY(const Json document, parse_json(payload, where));
  const Json* critical = find(document, "critical");
  const Json* image = critical == nullptr ? nullptr : find(*critical, "image");
  const Json* identity = critical == nullptr ? nullptr : find(*critical, "identity");
  if (image == nullptr || identity == nullptr) {
    return bad_input("the signed text names no image", where);
  }
  BUNDLE_TRY(const std::string type, get_string(*critical, "type", where));
  if (type != kType) return bad_input("the signed text is of another type", where);
  CosignClaim claim;
  BUNDLE_TRY(claim.digest, get_string(*image, "docker-manifest-digest", where));
  BUNDLE_TRY(claim.identity, get_string(*identity, "docker-reference", where));
  if (!is_valid_digest(claim.digest)) return bad_input("the signed digest is not valid", where);
  return claim;
}

std::string cosign_tag(std::string_view manifest_digest) {
  return "sha256-" + std::string(manifest_digest.substr(7)) + ".sig";
}

}  // namespace bundle::packager::signing
