// A signed statement in a Sigstore bundle: DSSE envelope and the name of the key, as one JSON file
// (OpenSSF Model Signing v1, Sigstore bundle v0.3).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "packager/signing/ec_key.h"

namespace bundle::packager::signing {

inline constexpr std::string_view kSigstoreBundleType =
    "application/vnd.dev.sigstore.bundle.v0.3+json";
inline constexpr std::string_view kStatementType = "application/vnd.in-toto+json";

/// Most bytes of such a file: a model of ten thousand files fits.
inline constexpr std::uint64_t kMostSignatureBytes = 8u << 20;

/// A statement whose signature has not been checked yet.
struct SignedStatement {
  std::string payload;    // the statement's JSON, exactly the bytes that are signed
  std::string signature;  // DER
  std::string key_hint;   // "" when the file names no key
};

/// DSSE's pre-authentication encoding: what the signature is over.
std::string pre_authentication(std::string_view type, std::string_view payload);

/// The file's text for a statement.
Result<std::string> sign_statement(const std::string& payload, const PrivateKey& key);

/// Parses the envelope and nothing inside it. kBadInput for another media or payload type, for any
/// number of signatures but one, for a signature by certificate, and for unknown members.
Result<SignedStatement> read_signed_statement(std::string_view text, const std::string& where);

/// Whether the key made the signature.
bool is_signed_by(const SignedStatement& statement, const PublicKey& key);

}  // namespace bundle::packager::signing
