#include "packager/signing/ec_key.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/sha256.h"

namespace bundle::packager::signing {
namespace {

constexpr std::uint64_t kMostKeyBytes = 64u << 10;

struct Free {
  void operator()(BIO* bio) const { ::BIO_free_all(bio); }
  void operator()(EVP_MD_CTX* context) const { ::EVP_MD_CTX_free(context); }
};
using Bio = std::unique_ptr<BIO, Free>;
using Context = std::unique_ptr<EVP_MD_CTX, Free>;
using Key = std::shared_ptr<EVP_PKEY>;

Key own(EVP_PKEY* key) {
  return {key, [](EVP_PKEY* pointer) { ::EVP_PKEY_free(pointer); }};
}

Bio reader(std::string_view text) {
  return Bio(::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string written(BIO* bio) {
  char* bytes = nullptr;
  const long size = ::BIO_get_mem_data(bio, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

/// The curve's name as OpenSSL has it, or "" for a key of another kind.
std::string curve_name(const EVP_PKEY* key) {
  char name[64] = "";
  std::size_t size = 0;
  if (::EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return "";
  if (::EVP_PKEY_get_group_name(key, name, sizeof name, &size) != 1) return "";
  return {name, size};
}

bool is_known_curve(const EVP_PKEY* key) {
  const std::string name = curve_name(key);
  return name == "prime256v1" || name == "secp384r1" || name == "secp521r1";
}

Status check_curve(const EVP_PKEY* key, const std::string& where) {
  if (is_known_curve(key)) return {};
  return bad_input("the key is not on P-256, P-384 or P-521", where,
                   "'bundle keygen FILE' makes a key that can sign.");
}

const EVP_MD* digest_for(const EVP_PKEY* key, SignatureHash hash) {
  if (hash == SignatureHash::kSha256) return ::EVP_sha256();
  const std::string name = curve_name(key);
  if (name == "secp384r1") return ::EVP_sha384();
  return name == "secp521r1" ? ::EVP_sha512() : ::EVP_sha256();
}

/// OpenSSL would ask on the terminal when there is no callback.
int give_password(char* buffer, int size, int, void* context) {
  const auto& password = *static_cast<const std::string*>(context);
  if (static_cast<std::size_t>(size) < password.size()) return -1;
  return static_cast<int>(password.copy(buffer, password.size()));
}

const char* group_of(Curve curve) {
  switch (curve) {
    case Curve::kP256:
      return "P-256";
    case Curve::kP384:
      return "P-384";
    case Curve::kP521:
      return "P-521";
  }
  return "";
}

Error no_private_key(std::string_view text, const Path& file) {
  if (text.find("SIGSTORE PRIVATE KEY") != std::string_view::npos) {
    return bad_input("the key is in cosign's own encrypted form", file.string(),
                     "Make a PEM key with 'bundle keygen FILE' or openssl.");
  }
  const bool is_encrypted = text.find("ENCRYPTED") != std::string_view::npos;
  return bad_input(
      is_encrypted ? "the password does not open the private key" : "not a private key in PEM form",
      file.string(),
      is_encrypted ? "Give the password with --key-password-file, or in "
                     "BUNDLE_KEY_PASSWORD."
                   : "Give an 'EC PRIVATE KEY' or a PKCS#8 'PRIVATE KEY'.");
}

}  // namespace

Result<PublicKey> PublicKey::parse(std::string_view pem, const std::string& where) {
  const Bio bio = reader(pem);
  const Key key = own(::PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  ::ERR_clear_error();
  if (!key) {
    return bad_input("not a public key in PEM form", where,
                     "A public key starts with '-----BEGIN PUBLIC KEY-----'.");
  }
  BUNDLE_CHECK(check_curve(key.get(), where));
  return PublicKey(key);
}

Result<PublicKey> PublicKey::load(const Path& file) {
  BUNDLE_TRY(const std::string text, read_file(file, kMostKeyBytes));
  return parse(text, file.string());
}

std::string PublicKey::pem() const {
  const Bio bio(::BIO_new(::BIO_s_mem()));
  ::PEM_write_bio_PUBKEY(bio.get(), key_.get());
  return written(bio.get());
}

std::string PublicKey::hint() const { return sha256_hex(pem()); }

bool PublicKey::verify(std::string_view message, std::string_view signature,
                       SignatureHash hash) const {
  const Context context(::EVP_MD_CTX_new());
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  const bool is_valid = ::EVP_DigestVerifyInit(context.get(), nullptr, digest_for(key_.get(), hash),
                                               nullptr, key_.get()) == 1 &&
                        ::EVP_DigestVerify(context.get(), bytes(signature), signature.size(),
                                           bytes(message), message.size()) == 1;
  ::ERR_clear_error();
  return is_valid;
}

Result<PrivateKey> PrivateKey::generate(Curve curve) {
  const Key key = own(::EVP_EC_gen(group_of(curve)));
  if (!key) return failed("cannot make a key");
  return PrivateKey(key);
}

Result<PrivateKey> PrivateKey::load(const Path& file, const std::string& password) {
  BUNDLE_TRY(const std::string text, read_file(file, kMostKeyBytes));
  const Bio bio = reader(text);
  const Key key = own(::PEM_read_bio_PrivateKey(bio.get(), nullptr, give_password,
                                                const_cast<std::string*>(&password)));
  ::ERR_clear_error();
  if (!key) return no_private_key(text, file);
  BUNDLE_CHECK(check_curve(key.get(), file.string()));
  return PrivateKey(key);
}

Result<std::string> PrivateKey::pem(const std::string& password) const {
  const Bio bio(::BIO_new(::BIO_s_mem()));
  const EVP_CIPHER* cipher = password.empty() ? nullptr : ::EVP_aes_256_cbc();
  const int done =
      ::PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), cipher, nullptr, 0, give_password,
                                      const_cast<std::string*>(&password));
  if (done != 1) return failed("cannot write the private key");
  return written(bio.get());
}

Result<std::string> PrivateKey::sign(std::string_view message, SignatureHash hash) const {
  const Context context(::EVP_MD_CTX_new());
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  std::size_t size = 0;
  if (::EVP_DigestSignInit(context.get(), nullptr, digest_for(key_.get(), hash), nullptr,
                           key_.get()) != 1 ||
      ::EVP_DigestSign(context.get(), nullptr, &size, bytes, message.size()) != 1) {
    return failed("the key cannot sign");
  }
  std::string signature(size, '\0');
  if (::EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                       bytes, message.size()) != 1) {
    return failed("the key cannot sign");
  }
  signature.resize(size);
  return signature;
}

}  // namespace bundle::packager::signing
