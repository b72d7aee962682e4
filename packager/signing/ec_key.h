// ECDSA keys on the three NIST curves that signatures here may use, from and to PEM (OpenSSL).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

struct evp_pkey_st;

namespace bundle::packager::signing {

/// What is hashed with what. OpenSSF Model Signing takes the hash of the curve's size (P-256:
/// SHA-256, P-384: SHA-384, P-521: SHA-512), cosign SHA-256 for every key.
enum class SignatureHash { kByCurve, kSha256 };

/// An ECDSA public key. A value that shares its OpenSSL object; thread-safe.
class PublicKey {
 public:
  /// From PEM (SubjectPublicKeyInfo). kBadInput for anything but a key on P-256, P-384 or P-521;
  /// `where` names the file.
  static Result<PublicKey> parse(std::string_view pem, const std::string& where);
  static Result<PublicKey> load(const Path& file);

  /// The key as OpenSSL writes it, whatever the file looked like.
  std::string pem() const;
  /// SHA-256 of pem(), 64 hex digits: how signatures name their key.
  std::string hint() const;

  /// Whether `signature` (DER) is this key's over `message`.
  bool verify(std::string_view message, std::string_view signature, SignatureHash hash) const;

 private:
  friend class PrivateKey;
  explicit PublicKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}

  std::shared_ptr<evp_pkey_st> key_;
};

enum class Curve { kP256, kP384, kP521 };

/// An ECDSA private key. A value; thread-safe.
class PrivateKey {
 public:
  static Result<PrivateKey> generate(Curve curve);

  /// From a PEM file ("EC PRIVATE KEY" or PKCS#8). An encrypted one is opened with `password`;
  /// kBadInput when that is wrong or empty.
  static Result<PrivateKey> load(const Path& file, const std::string& password);

  PublicKey public_key() const { return PublicKey(key_); }

  /// PKCS#8 PEM, encrypted (AES-256) when there is a password.
  Result<std::string> pem(const std::string& password) const;

  /// A DER signature.
  Result<std::string> sign(std::string_view message, SignatureHash hash) const;

 private:
  explicit PrivateKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}

  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace bundle::packager::signing
