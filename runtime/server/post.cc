// One exchange on the calling thread. A handful of documents a minute is sent, so nothing is kept
// open; and TLS and HTTP are those that the server speaks anyhow, so that it carries no library
// more.
#include "runtime/server/post.h"

#include <exception>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "base/ca_file.h"
#include "runtime/server/web_address.h"

namespace bundle::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace ssl = asio::ssl;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::system_error;
using Document = http::request<http::string_body>;
template <class T>
using Awaitable = asio::awaitable<T>;

constexpr std::uint64_t kMostAnswer = 64u << 10;
constexpr unsigned kHttp11 = 11;
constexpr char kAgent[] = "bundle-server";

/// Where to, by way of what, and with what.
struct Errand {
  WebAddress address;
  std::optional<WebProxy> proxy;
  std::string document;
  std::chrono::milliseconds limit;
};

Document request_of(const Errand& errand) {
  const bool is_relayed = errand.proxy && !errand.address.is_tls;
  const std::string prefix = is_relayed ? "http://" + errand.address.authority() : "";
  Document request(http::verb::post, prefix + errand.address.target, kHttp11);
  request.set(http::field::host, errand.address.authority());
  request.set(http::field::user_agent, kAgent);
  request.set(http::field::content_type, "application/json");
  request.set(http::field::connection, "close");
  if (is_relayed && !errand.proxy->authorization.empty()) {
    request.set(http::field::proxy_authorization, errand.proxy->authorization);
  }
  request.body() = errand.document;
  request.prepare_payload();
  return request;
}

/// The answer's status. Its body is read, so that the receiver is not cut off, and dropped.
template <class Stream>
Awaitable<int> send_and_read(Stream& stream, const Document& request) {
  co_await http::async_write(stream, request, use_awaitable);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMostAnswer);
  co_await http::async_read_header(stream, buffer, parser, use_awaitable);
  const int status = parser.get().result_int();
  // The status has been given; whether all of the rest arrives is of no matter.
  co_await http::async_read(stream, buffer, parser, asio::as_tuple(use_awaitable));
  co_return status;
}

/// Asks the proxy for a way through to a host that speaks TLS.
Awaitable<void> open_tunnel(beast::tcp_stream& stream, const Errand& errand) {
  const WebAddress& address = errand.address;
  const bool is_ip6 = address.host.find(':') != std::string::npos;
  const std::string target =
      (is_ip6 ? '[' + address.host + ']' : address.host) + ':' + address.port;
  http::request<http::empty_body> request(http::verb::connect, target, kHttp11);
  request.set(http::field::host, target);
  request.set(http::field::user_agent, kAgent);
  if (!errand.proxy->authorization.empty()) {
    request.set(http::field::proxy_authorization, errand.proxy->authorization);
  }
  co_await http::async_write(stream, request, use_awaitable);
  beast::flat_buffer buffer;
  http::response_parser<http::empty_body> parser;
  parser.skip(true);  // whatever the lengths say, the tunnel begins after the head
  co_await http::async_read_header(stream, buffer, parser, use_awaitable);
  const bool is_open = parser.get().result_int() / 100 == 2 && buffer.size() == 0;
  if (!is_open) throw system_error(http::make_error_code(http::error::bad_status));
}

Awaitable<int> post_over_tls(beast::tcp_stream& stream, const Errand& errand) {
  ssl::context context(ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  if (const std::string file = system_ca_file(); !file.empty()) context.load_verify_file(file);
  ssl::stream<beast::tcp_stream&> secure(stream, context);
  const std::string& host = errand.address.host;
  secure.set_verify_mode(ssl::verify_peer);
  secure.set_verify_callback(ssl::host_name_verification(host));
  boost::system::error_code is_name;  // of an address no name is sent (RFC 6066, 3)
  asio::ip::make_address(host, is_name);
  if (is_name) SSL_set_tlsext_host_name(secure.native_handle(), host.c_str());
  co_await secure.async_handshake(ssl::stream_base::client, use_awaitable);
  co_return co_await send_and_read(secure, request_of(errand));
}

Awaitable<int> run_errand(const Errand& errand) {
  const WebAddress& first = errand.proxy ? errand.proxy->address : errand.address;
  tcp::resolver resolver(co_await asio::this_coro::executor);
  beast::tcp_stream stream(resolver.get_executor());
  stream.expires_after(errand.limit);
  const auto found = co_await resolver.async_resolve(first.host, first.port, use_awaitable);
  co_await stream.async_connect(found, use_awaitable);
  if (!errand.address.is_tls) co_return co_await send_and_read(stream, request_of(errand));
  if (errand.proxy) co_await open_tunnel(stream, errand);
  co_return co_await post_over_tls(stream, errand);
}

Error no_answer(const std::string& why, const Errand& errand) {
  return {ErrorCode::kUnreachable, "no answer: " + why, errand.address.authority(),
          "Is the receiver running, and its certificate trusted here (SSL_CERT_FILE)?"};
}

Result<int> run_to_end(const Errand& errand) {
  std::optional<int> status;
  std::string why = "it took too long";
  asio::io_context context(1);
  asio::co_spawn(context, run_errand(errand), [&](const std::exception_ptr& thrown, int given) {
    if (!thrown) {
      status = given;
      return;
    }
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      why = error.what();
    }
  });
  context.run_for(errand.limit);
  if (status) return *status;
  return no_answer(why, errand);
}

}  // namespace

Result<int> post_json(const std::string& url, std::string document,
                      std::chrono::milliseconds limit) {
  Errand errand{{}, {}, std::move(document), limit};
  BUNDLE_TRY(errand.address, parse_web_address(url));
  BUNDLE_TRY(errand.proxy, proxy_for(errand.address));
  return run_to_end(errand);
}

}  // namespace bundle::server
