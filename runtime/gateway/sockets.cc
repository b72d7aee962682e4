#include "runtime/gateway/sockets.h"

#include <cerrno>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace bundle::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace asio::experimental::awaitable_operators;  // NOLINT: operators alone
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr milliseconds kWatchInterval{1000};

}  // namespace

Result<tcp::acceptor> listen(asio::io_context& context, const std::string& host,
                             std::uint16_t port) {
  boost::system::error_code error;
  const auto found =
      tcp::resolver(context).resolve(host, std::to_string(port), tcp::resolver::passive, error);
  tcp::acceptor acceptor(context);
  if (!error && !found.empty()) {
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  }
  if (!error) return acceptor;
  return Error{ErrorCode::kUnreachable, "cannot listen: " + error.message(),
               host + ":" + std::to_string(port),
               "Choose another address or port, or stop what uses it."};
}

bool is_gone(tcp::socket& socket) {
  char byte = 0;
  const ssize_t n = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

asio::awaitable<void> sleep(milliseconds time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  co_await timer.async_wait(kToken);
}

asio::awaitable<bool> connect(tcp::socket& socket, std::string host, std::uint16_t port,
                              milliseconds limit) {
  tcp::resolver resolver(socket.get_executor());
  const std::string port_text = std::to_string(port);
  auto [unresolved, endpoints] = co_await resolver.async_resolve(host, port_text, kToken);
  if (unresolved) co_return false;
  asio::steady_timer timer(socket.get_executor(), limit);
  auto result =
      co_await (asio::async_connect(socket, endpoints, kToken) || timer.async_wait(kToken));
  co_return result.index() == 0 && !std::get<0>(std::get<0>(result));
}

asio::awaitable<bool> send(tcp::socket& socket, std::string_view text, milliseconds limit) {
  asio::steady_timer timer(socket.get_executor(), limit);
  auto result =
      co_await (asio::async_write(socket, asio::buffer(text.data(), text.size()), kToken) ||
                timer.async_wait(kToken));
  co_return result.index() == 0 && !std::get<0>(std::get<0>(result));
}

asio::awaitable<std::size_t> read_some(tcp::socket& socket, std::span<char> into,
                                       tcp::socket* watched, milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  for (;;) {
    // Without a limit and without anybody to watch it would spin: the timer is then a day.
    const milliseconds turn = watched != nullptr  ? kWatchInterval
                              : limit.count() > 0 ? limit
                                                  : std::chrono::hours(24);
    asio::steady_timer timer(socket.get_executor(), turn);
    auto result =
        co_await (socket.async_read_some(asio::buffer(into.data(), into.size()), kToken) ||
                  timer.async_wait(kToken));
    if (result.index() == 0) {
      const auto& [error, n] = std::get<0>(result);
      co_return error ? 0 : n;
    }
    if (watched != nullptr && is_gone(*watched)) co_return 0;
    if (limit.count() > 0 && Clock::now() >= deadline) co_return 0;
  }
}

}  // namespace bundle::gateway
