#include "runtime/server/post.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include "base/file.h"
#include "runtime/server/web_address.h"
#include "tests/golden/temp_folder.h"
#include "tests/server/certificates.h"
#include "tests/server/fixture.h"
#include "tests/server/http_sink.h"

namespace bundle::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr milliseconds kLong(20000);  // for a machine that is busy
constexpr const char* kVariables[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                      "ALL_PROXY",  "no_proxy",    "NO_PROXY",    "SSL_CERT_FILE"};

/// Clears what this host says of proxies and authorities, for one test.
class PostTest : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }

  static void clear() {
    for (const char* name : kVariables) ::unsetenv(name);
  }
  static void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }
};

/// A proxy for one connection: keeps the head it is sent; for CONNECT carries bytes both ways to
/// `port`, whatever host was asked for, else answers 204 itself.
class OneProxy {
 public:
  explicit OneProxy(std::uint16_t port = 0) : port_(port), thread_([this] { serve(); }) {}
  ~OneProxy() { thread_.join(); }

  std::string address() const {
    return "127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
  }
  std::string head() {
    thread_.join();
    thread_ = std::thread([] {});
    return head_;
  }

 private:
  void serve() {
    tcp::socket client = acceptor_.accept();
    const std::size_t size = asio::read_until(client, asio::dynamic_buffer(head_), "\r\n\r\n");
    head_.resize(size);
    if (!head_.starts_with("CONNECT ")) {
      asio::write(client, asio::buffer(std::string("HTTP/1.1 204 No Content\r\n\r\n")));
      return;
    }
    asio::write(client, asio::buffer(std::string("HTTP/1.1 200 Open\r\n\r\n")));
    tcp::socket server(io_);
    server.connect({asio::ip::address_v4::loopback(), port_});
    std::thread back([&] { carry(server, client); });
    carry(client, server);
    back.join();
  }

  static void carry(tcp::socket& from, tcp::socket& to) {
    char piece[4096];
    boost::system::error_code error;
    while (!error) {
      const std::size_t count = from.read_some(asio::buffer(piece), error);
      if (!error) asio::write(to, asio::buffer(piece, count), error);
    }
    to.shutdown(tcp::socket::shutdown_both, error);
  }

  asio::io_context io_;
  tcp::acceptor acceptor_{io_, {asio::ip::address_v4::loopback(), 0}};
  std::uint16_t port_;
  std::string head_;
  std::thread thread_;
};

/// A server of the toy model that speaks TLS with a certificate for 127.0.0.1.
class TlsServer {
 public:
  TlsServer() {
    write("server.pem", certificate_.certificate_pem());
    write("server.key", certificate_.key_pem());
    write("other.pem", Certificate("other").certificate_pem());
    ServerOptions options;
    options.tls = {path("server.pem"), path("server.key"), {}};
    server_ = std::make_unique<TestServer>(options);
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::uint16_t port() const { return server_->http().port(); }
  std::string url(const std::string& host) const {
    return "https://" + host + ":" + std::to_string(port()) + "/v1/completions";
  }

 private:
  void write(const std::string& name, const std::string& text) const {
    EXPECT_TRUE(write_file_atomic(path(name), text));
  }

  golden::TempFolder folder_;
  Certificate certificate_{"127.0.0.1"};
  std::unique_ptr<TestServer> server_;
};

constexpr const char* kCompletion = R"({"model":"toy","prompt":"the","max_tokens":2})";

TEST_F(PostTest, DeliversADocument) {
  const HttpSink sink;
  const auto status = post_json(sink.url("/hook?x=1"), R"({"a":1})", kLong);
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(*status, 200);
  EXPECT_THAT(sink.wait_for(1), ElementsAre(R"({"a":1})"));
}

TEST_F(PostTest, SpeaksTlsWithACertificateThatIsTrusted) {
  const TlsServer server;
  set("SSL_CERT_FILE", server.path("server.pem"));
  const auto status = post_json(server.url("127.0.0.1"), kCompletion, kLong);
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(*status, 200);
}

TEST_F(PostTest, RefusesACertificateOfAnotherAuthorityAndOfAnotherHost) {
  const TlsServer server;
  set("SSL_CERT_FILE", server.path("other.pem"));
  EXPECT_EQ(post_json(server.url("127.0.0.1"), kCompletion, kLong).error().code,
            ErrorCode::kUnreachable);
  set("SSL_CERT_FILE", server.path("server.pem"));
  EXPECT_EQ(post_json(server.url("localhost"), kCompletion, kLong).error().code,
            ErrorCode::kUnreachable);
}

TEST_F(PostTest, EndsInTimeWhenNobodyAnswers) {
  asio::io_context io;
  tcp::acceptor silent(io, {asio::ip::address_v4::loopback(), 0});
  const std::string url = "http://127.0.0.1:" + std::to_string(silent.local_endpoint().port());
  const auto start = std::chrono::steady_clock::now();
  const auto status = post_json(url, "{}", milliseconds(200));
  EXPECT_EQ(status.error().code, ErrorCode::kUnreachable);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  silent.close();
  EXPECT_EQ(post_json(url, "{}", kLong).error().code, ErrorCode::kUnreachable);
}

TEST_F(PostTest, SurvivesAnswersThatAreNone) {
  for (const std::string answer : {"", "\r\n\r\n", "HTTP/1.1 ", "HTTP/1.1 999999 x\r\n\r\n",
                                   "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n"}) {
    asio::io_context io;
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    std::thread other([&] {
      tcp::socket client = acceptor.accept();
      std::string head;
      asio::read_until(client, asio::dynamic_buffer(head), "\r\n\r\n");
      asio::write(client, asio::buffer(answer));
    });
    const std::string url = "http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
    EXPECT_EQ(post_json(url, "{}", kLong).error().code, ErrorCode::kUnreachable) << answer;
    other.join();
  }
}

TEST_F(PostTest, GoesByWayOfAProxy) {
  OneProxy proxy;
  set("http_proxy", "http://me:secret@" + proxy.address());
  const auto status = post_json("http://receiver.example/hook", "{}", kLong);
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(*status, 204);
  const std::string head = proxy.head();
  EXPECT_THAT(head, StartsWith("POST http://receiver.example/hook HTTP/1.1\r\n"));
  EXPECT_THAT(head, HasSubstr("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"));
}

TEST_F(PostTest, TunnelsTlsThroughAProxyAndStillChecksTheHost) {
  const TlsServer server;
  set("SSL_CERT_FILE", server.path("server.pem"));
  OneProxy proxy(server.port());
  set("https_proxy", proxy.address());
  const auto status = post_json("https://receiver.example/v1/completions", kCompletion, kLong);
  ASSERT_TRUE(status.has_error());  // the certificate is that of 127.0.0.1
  EXPECT_EQ(status.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(proxy.head(), StartsWith("CONNECT receiver.example:443 HTTP/1.1\r\n"));
}

std::string parsed(std::string_view text) {
  const auto address = parse_web_address(text);
  if (!address) return "refused";
  return (address->is_tls ? "s " : "") + address->host + ' ' + address->port + ' ' +
         address->target + ' ' + address->authority();
}

TEST_F(PostTest, ReadsAddresses) {
  EXPECT_EQ(parsed("http://a"), "a 80 / a");
  EXPECT_EQ(parsed("HTTPS://Host.Example/x?y=1#z"), "s host.example 443 /x?y=1 host.example");
  EXPECT_EQ(parsed("http://a:8080?q"), "a 8080 /?q a:8080");
  EXPECT_EQ(parsed("http://[::1]:4318/v1"), "::1 4318 /v1 [::1]:4318");
  EXPECT_EQ(parsed("https://a:80/"), "s a 80 / a:80");
  for (const char* text :
       {"", "a", "ftp://a", "http://", "http:///x", "http://a:", "http://a:0", "http://a:65536",
        "http://a:8x", "http://[::1", "http://[]:1", "http://u:p@a", "http://a b",
        "http://a/\r\nX: y", "http://a\\b", "http://a/\x01", "http://\xc3\xa4"}) {
    EXPECT_EQ(parsed(text), "refused") << text;
  }
}

/// The proxy's authority for an address, "direct", or "refused".
std::string way_to(const std::string& url) {
  const auto proxy = proxy_for(*parse_web_address(url));
  if (!proxy) return "refused";
  return *proxy ? (*proxy)->address.authority() : "direct";
}

TEST_F(PostTest, ChoosesTheProxyAsTheEnvironmentSays) {
  EXPECT_EQ(way_to("http://a.example"), "direct");
  set("http_proxy", "http://p:3128/");
  set("https_proxy", "q");
  EXPECT_EQ(way_to("http://a.example"), "p:3128");
  EXPECT_EQ(way_to("https://a.example"), "q:1080");
  for (const char* url : {"http://localhost", "http://127.9.9.9", "http://[::1]"}) {
    EXPECT_EQ(way_to(url), "direct") << url;
  }
  set("no_proxy", "other, .example");
  EXPECT_EQ(way_to("http://a.example"), "direct");
  EXPECT_EQ(way_to("http://example"), "direct");
  EXPECT_EQ(way_to("http://notexample"), "p:3128");
  set("no_proxy", "*");
  EXPECT_EQ(way_to("http://b"), "direct");
  ::unsetenv("no_proxy");
  for (const char* proxy : {"https://p", "socks5://p", "http://", "http://p:x", "p q"}) {
    set("http_proxy", proxy);
    EXPECT_EQ(way_to("http://a.example"), "refused") << proxy;
  }
}

}  // namespace
}  // namespace bundle::server
