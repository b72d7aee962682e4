// Signatures as cosign writes them: a small JSON text that names a manifest's digest, signed by
// ECDSA with SHA-256. Registries hold them under the tag sha256-<digest>.sig and as referrers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "packager/signing/ec_key.h"

namespace bundle::packager::signing {

inline constexpr std::string_view kSimpleSigningType =
    "application/vnd.dev.cosign.simplesigning.v1+json";
inline constexpr std::string_view kCosignArtifact =
    "application/vnd.dev.cosign.artifact.sig.v1+json";
inline constexpr std::string_view kCosignAnnotation = "dev.cosignproject.cosign/signature";

inline constexpr std::uint64_t kMostCosignPayload = 64u << 10;

/// The text to sign. `identity` is the repository (and tag) where the image will be found:
/// "registry.example.com/team/model".
std::string cosign_payload(std::string_view manifest_digest, std::string_view identity);

/// Base64 of a DER signature over the payload.
Result<std::string> cosign_sign(std::string_view payload, const PrivateKey& key);

/// Whether the key made this (base64) signature over the payload.
bool is_cosigned_by(std::string_view payload, std::string_view signature, const PublicKey& key);

struct CosignClaim {
  std::string digest;    // of the manifest that it speaks of
  std::string identity;  // docker-reference
};

/// Parses a payload whose signature has been checked. kBadInput for another type.
Result<CosignClaim> read_cosign_payload(std::string_view payload, const std::string& where);

/// "sha256:abc…" -> "sha256-abc….sig".
std::string cosign_tag(std::string_view manifest_digest);

}  // namespace bundle::packager::signing
