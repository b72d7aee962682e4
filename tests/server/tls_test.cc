#include "runtime/server/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "base/file.h"
#include "tests/golden/temp_folder.h"
#include "tests/server/certificates.h"
#include "tests/server/fixture.h"

namespace bundle::server {
namespace {

namespace asio = boost::asio;
using testing::HasSubstr;

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    files_ = {
        write("server.pem", server_.certificate_pem()), write("server.key", server_.key_pem()), {}};
  }

  std::string write(const std::string& name, const std::string& text) const {
    const Path path = folder_.path() / name;
    EXPECT_TRUE(write_file_atomic(path, text));
    return path.string();
  }

  /// What a client that trusts `ca` gets; "" when there is no handshake.
  std::string ask(const TestServer& server, const std::string& request, const Certificate& ca,
                  const Certificate* own = nullptr, int newest = TLS1_3_VERSION) {
    asio::ssl::context context(asio::ssl::context::tls_client);
    context.add_certificate_authority(asio::buffer(ca.certificate_pem()));
    context.set_verify_mode(asio::ssl::verify_peer);
    SSL_CTX_set_max_proto_version(context.native_handle(), newest);
    if (own != nullptr) {
      context.use_certificate(asio::buffer(own->certificate_pem()), asio::ssl::context::pem);
      context.use_private_key(asio::buffer(own->key_pem()), asio::ssl::context::pem);
    }
    asio::io_context io;
    asio::ssl::stream<asio::ip::tcp::socket> stream(io, context);
    boost::system::error_code error;
    stream.next_layer().connect({asio::ip::address_v4::loopback(), server.http().port()}, error);
    if (!error) stream.handshake(asio::ssl::stream_base::client, error);
    if (!error) asio::write(stream, asio::buffer(request), error);
    std::string answer;
    if (!error) asio::read(stream, asio::dynamic_buffer(answer), error);
    clean_end_ = error == asio::error::eof;
    return answer;
  }

  static ServerOptions with(const TlsFiles& files) {
    ServerOptions options;
    options.tls = files;
    return options;
  }

  golden::TempFolder folder_;
  Certificate ca_{"test authority"};
  Certificate server_{"server", &ca_};
  TlsFiles files_;
  bool clean_end_ = false;
};

std::string closing(const std::string& path) { return get(path, "Connection: close\r\n"); }

TEST_F(TlsTest, AnswersOverTlsAndEndsProperly) {
  const TestServer server(with(files_));
  EXPECT_THAT(ask(server, closing("/ready"), ca_), HasSubstr("200 OK"));
  EXPECT_TRUE(clean_end_) << "with close_notify";
  EXPECT_THAT(ask(server, closing("/ready"), ca_, nullptr, TLS1_2_VERSION), HasSubstr("200 OK"));
  EXPECT_EQ(ask(server, closing("/ready"), ca_, nullptr, TLS1_1_VERSION), "");
}

TEST_F(TlsTest, StreamsOverTls) {
  const TestServer server(with(files_));
  const std::string answer =
      ask(server,
          post("/v1/completions", R"({"prompt":"x","stream":true,"max_tokens":5})",
               "Connection: close\r\n"),
          ca_);
  EXPECT_THAT(answer, HasSubstr("data: [DONE]"));
}

TEST_F(TlsTest, PlainTextIsNoTls) {
  const TestServer server(with(files_));
  RawClient client = server.connect();
  client.send(get("/ready"));
  EXPECT_TRUE(client.closed());
}

TEST_F(TlsTest, WithAClientCaOnlyItsClientsAreLetIn) {
  files_.client_ca = write("ca.pem", ca_.certificate_pem());
  const TestServer server(with(files_));
  const Certificate client("client", &ca_);
  const Certificate other_ca("other authority");
  const Certificate stranger("stranger", &other_ca);
  EXPECT_THAT(ask(server, closing("/ready"), ca_, &client), HasSubstr("200 OK"));
  EXPECT_EQ(ask(server, closing("/ready"), ca_), "");
  EXPECT_EQ(ask(server, closing("/ready"), ca_, &stranger), "");
}

TEST_F(TlsTest, CertificatesAreReplacedWithoutARestart) {
  TestServer server(with(files_));
  const Certificate new_ca("new authority");
  const Certificate renewed("server", &new_ca);
  EXPECT_EQ(ask(server, closing("/ready"), new_ca), "");
  write("server.pem", renewed.certificate_pem());
  EXPECT_FALSE(server.http().set_tls(files_)) << "the key is still the old one";
  EXPECT_THAT(ask(server, closing("/ready"), ca_), HasSubstr("200 OK"));
  write("server.key", renewed.key_pem());
  EXPECT_TRUE(server.http().set_tls(files_));
  EXPECT_THAT(ask(server, closing("/ready"), new_ca), HasSubstr("200 OK"));
}

TEST_F(TlsTest, BadFilesAreRefusedByName) {
  const std::string missing = (folder_.path() / "missing.pem").string();
  const std::string junk = write("junk.pem", "no certificate");
  const std::string other = write("other.key", Certificate("other").key_pem());
  const std::pair<TlsFiles, std::string> cases[] = {
      {{missing, files_.key, {}}, missing},           {{junk, files_.key, {}}, junk},
      {{files_.certificate, junk, {}}, junk},         {{files_.certificate, other, {}}, other},
      {{files_.certificate, files_.key, junk}, junk},
  };
  for (const auto& [files, name] : cases) {
    const auto loaded = load_tls(files);
    ASSERT_TRUE(loaded.has_error());
    EXPECT_EQ(loaded.error().code, ErrorCode::kBadInput);
    EXPECT_EQ(loaded.error().where, name);
  }
}

}  // namespace
}  // namespace bundle::server
