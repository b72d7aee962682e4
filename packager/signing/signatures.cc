#include "packager/signing/signatures.h"

#include <algorithm>
#include <functional>
#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/oci.h"
#include "packager/signing/cosign.h"
#include "packager/signing/dsse.h"
#include "packager/stored_bundle.h"

namespace bundle::packager::signing {
namespace {

constexpr std::size_t kMostSignatures = 64;

Error another_bundle(const std::string& where) {
  return bad_input("the signature is by a trusted key, but over another bundle", where,
                   "Do not use this bundle: its signature was taken from another one.");
}

/// What one signature comes to: none when no trusted key made it.
using Checked = Result<std::optional<CheckedSignature>>;

Checked check_statement(const FoundSignature& found, const std::string& digest,
                        const std::vector<TrustedKey>& keys) {
  const auto envelope = read_signed_statement(found.text, found.where);
  if (!envelope) return std::optional<CheckedSignature>();  // anyone may attach garbage
  for (const TrustedKey& trusted : keys) {
    if (!is_signed_by(*envelope, trusted.key)) continue;
    BUNDLE_TRY(ModelStatement statement, read_statement(envelope->payload, found.where));
    if (statement.bundle_digest != digest) return another_bundle(found.where);
    return std::optional(
        CheckedSignature{found.kind, trusted.name, trusted.key.hint(), "", std::move(statement)});
  }
  return std::optional<CheckedSignature>();
}

Checked check_cosign(const FoundSignature& found, const std::string& digest,
                     const std::vector<TrustedKey>& keys) {
  for (const TrustedKey& trusted : keys) {
    if (!is_cosigned_by(found.text, found.signature, trusted.key)) continue;
    BUNDLE_TRY(const CosignClaim claim, read_cosign_payload(found.text, found.where));
    if (claim.digest != digest) return another_bundle(found.where);
    return std::optional(CheckedSignature{found.kind, trusted.name, trusted.key.hint(),
                                          claim.identity, std::nullopt});
  }
  return std::optional<CheckedSignature>();
}

Checked check_one(const FoundSignature& found, const std::string& digest,
                  const std::vector<TrustedKey>& keys) {
  return found.kind == SignatureKind::kCosign ? check_cosign(found, digest, keys)
                                              : check_statement(found, digest, keys);
}

Error too_few(std::size_t signers, int threshold) {
  const std::string remedy =
      "Ask who made it for a signature by a key that you trust, or trust theirs in trust.yaml.";
  if (signers == 0) {
    return {ErrorCode::kFailed, "the bundle is signed, but by no key that is trusted", "", remedy};
  }
  return {ErrorCode::kFailed,
          "the bundle is signed by " + std::to_string(signers) + " of the " +
              std::to_string(threshold) + " trusted keys that are asked for",
          "", remedy};
}

}  // namespace

const char* kind_name(SignatureKind kind) {
  return kind == SignatureKind::kCosign ? "cosign" : "model-signing";
}

Result<std::vector<FoundSignature>> signatures_in(const Json& manifest, const std::string& where,
                                                  const ReadBlob& read) {
  BUNDLE_TRY(const auto layers, oci::read_descriptors(manifest, "layers", where));
  std::vector<FoundSignature> found;
  for (std::size_t i = 0; i < layers.size() && found.size() < kMostSignatures; ++i) {
    const Descriptor& layer = layers[i];
    const bool is_cosign = layer.media_type == kSimpleSigningType;
    const std::uint64_t cap = is_cosign ? kMostCosignPayload : kMostSignatureBytes;
    if ((!is_cosign && layer.media_type != kSigstoreBundleType) || layer.size > cap) continue;
    FoundSignature signature;
    signature.kind = is_cosign ? SignatureKind::kCosign : SignatureKind::kModelSigning;
    signature.signature =
        is_cosign ? oci::annotation(manifest.at("layers").get_array()[i], kCosignAnnotation) : "";
    signature.where = layer.digest;
    BUNDLE_TRY(signature.text, read(layer, cap));
    found.push_back(std::move(signature));
  }
  return found;
}

Result<std::vector<FoundSignature>> stored_signatures(const StorePaths& paths,
                                                      const std::string& digest) {
  BUNDLE_TRY(const std::vector<Referrer> referrers, referrers_of(paths, digest));
  const ReadBlob read = [&](const Descriptor& blob, std::uint64_t cap) {
    return read_checked_blob(paths, blob, cap);
  };
  std::vector<FoundSignature> all;
  for (const Referrer& referrer : referrers) {
    BUNDLE_TRY(auto found, signatures_in(referrer.document, referrer.manifest.digest, read));
    all.insert(all.end(), found.begin(), found.end());
  }
  return all;
}

Result<std::vector<CheckedSignature>> check_signatures(const std::vector<FoundSignature>& found,
                                                       const std::string& digest,
                                                       const std::vector<TrustedKey>& keys,
                                                       int threshold) {
  if (found.empty()) {
    return not_found("the bundle is not signed", digest,
                     "Sign it with 'bundle sign', or fetch it from where its signature is.");
  }
  std::vector<CheckedSignature> checked;
  std::set<std::string> signers;
  std::optional<Error> refused;
  for (std::size_t i = 0; i < found.size() && i < kMostSignatures; ++i) {
    auto one = check_one(found[i], digest, keys);
    if (!one) {
      refused = std::move(one).error();
    } else if (one->has_value()) {
      signers.insert((*one)->key_hint);
      checked.push_back(**std::move(one));
    }
  }
  if (signers.size() >= static_cast<std::size_t>(std::max(threshold, 1))) return checked;
  if (refused) return *refused;
  return too_few(signers.size(), threshold);
}

}  // namespace bundle::packager::signing
