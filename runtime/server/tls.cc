#include "runtime/server/tls.h"

#include <openssl/ssl.h>

namespace bundle::server {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

constexpr unsigned char kProtocol[] = "\x08http/1.1";
constexpr unsigned char kSessions[] = "bundle";

Error cannot_use(const char* what, const std::string& file, const error_code& error) {
  return bad_input(std::string("cannot use the ") + what + ": " + error.message(), file,
                   "Give files in PEM form; a chain starts with the server's own certificate.");
}

/// Of a client's list, HTTP/1.1; a client that offers something else only gets no protocol at all.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                    unsigned int in_size, void*) {
  const int found = SSL_select_next_proto(const_cast<unsigned char**>(out), size, kProtocol,
                                          sizeof kProtocol - 1, in, in_size);
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

void harden(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_id_context(context, kSessions, sizeof kSessions - 1);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
}

}  // namespace

Result<std::shared_ptr<TlsContext>> load_tls(const TlsFiles& files) {
  auto context = std::make_shared<TlsContext>(ssl::context::tls_server);
  harden(context->native_handle());
  error_code error;
  context->use_certificate_chain_file(files.certificate, error);
  if (error) return cannot_use("certificate", files.certificate, error);
  context->use_private_key_file(files.key, ssl::context::pem, error);
  if (error) return cannot_use("private key", files.key, error);
  if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
    return bad_input("the private key is not that of the certificate", files.key);
  }
  if (files.client_ca.empty()) return context;
  context->load_verify_file(files.client_ca, error);
  if (error) return cannot_use("client CA", files.client_ca, error);
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
  return context;
}

}  // namespace bundle::server
