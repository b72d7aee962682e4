// Certificates for tests, made on the spot.
#pragma once

#include <memory>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string>

namespace bundle::server {

/// A key and its certificate. Valid for a day.
class Certificate {
 public:
  /// Signed by itself, when `issuer` is null.
  explicit Certificate(const std::string& name, const Certificate* issuer = nullptr);

  std::string certificate_pem() const;
  std::string key_pem() const;

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
  };

  std::unique_ptr<EVP_PKEY, Free> key_;
  std::unique_ptr<X509, Free> certificate_;
};

}  // namespace bundle::server
