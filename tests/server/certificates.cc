#include "tests/server/certificates.h"

#include <atomic>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace bundle::server {
namespace {

std::string take(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string out(bytes, static_cast<std::size_t>(size));
  BIO_free(bio);
  return out;
}

void extend(X509* certificate, int kind, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

Certificate::Certificate(const std::string& name, const Certificate* issuer)
    : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
  static std::atomic<long> serial = 1;
  X509* const x = certificate_.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
  X509_gmtime_adj(X509_getm_notBefore(x), -60);
  X509_gmtime_adj(X509_getm_notAfter(x), 86400);
  X509_set_pubkey(x, key_.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509* const by = issuer == nullptr ? x : issuer->certificate_.get();
  X509_set_issuer_name(x, X509_get_subject_name(by));
  extend(x, NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
  extend(x, NID_subject_alt_name, "IP:127.0.0.1");
  X509_sign(x, issuer == nullptr ? key_.get() : issuer->key_.get(), EVP_sha256());
}

std::string Certificate::certificate_pem() const {
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate_.get());
  return take(bio);
}

std::string Certificate::key_pem() const {
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return take(bio);
}

}  // namespace bundle::server
