// Signatures of one bundle: finding them, and checking that keys one trusts made them over this
// very bundle. Nothing of the bundle itself is parsed here: its digest is all that is looked at.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "packager/referrers.h"
#include "packager/signing/model_statement.h"
#include "packager/signing/trust_policy.h"

namespace bundle::packager::signing {

enum class SignatureKind { kModelSigning, kCosign };
const char* kind_name(SignatureKind kind);  // "model-signing", "cosign"

/// A signature as it was found; nothing of it is checked.
struct FoundSignature {
  SignatureKind kind = SignatureKind::kModelSigning;
  std::string text;       // the Sigstore bundle, or cosign's payload
  std::string signature;  // cosign: base64; else ""
  std::string where;      // digest of its blob
};

/// A signature by a trusted key over this bundle.
struct CheckedSignature {
  SignatureKind kind = SignatureKind::kModelSigning;
  std::string key;       // TrustedKey::name
  std::string key_hint;  // SHA-256 of the key's PEM
  std::string identity;  // cosign's docker-reference
  std::optional<ModelStatement> statement;
};

/// The signatures in a referrer's layers; `read` fetches a blob of at most that size. Layers that
/// are no signatures, or too large for one, are passed over.
using ReadBlob = std::function<Result<std::string>(const Descriptor& blob, std::uint64_t cap)>;
Result<std::vector<FoundSignature>> signatures_in(const Json& manifest, const std::string& where,
                                                  const ReadBlob& read);

/// Of a bundle in the store.
Result<std::vector<FoundSignature>> stored_signatures(const StorePaths& paths,
                                                      const std::string& digest);

/// The signatures by `keys` over the bundle `digest`: of `threshold` different keys, else
///   kNotFound   there is no signature at all
///   kFailed     no (or too few) trusted keys signed
///   kBadInput   a trusted key signed, but another bundle, or a statement that is not acceptable
/// At most 64 signatures are looked at.
Result<std::vector<CheckedSignature>> check_signatures(const std::vector<FoundSignature>& found,
                                                       const std::string& digest,
                                                       const std::vector<TrustedKey>& keys,
                                                       int threshold);

}  // namespace bundle::packager::signing
