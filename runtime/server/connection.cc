#include "runtime/server/connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace bundle::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

std::string peer_of(const asio::ip::tcp::socket& socket) {
  error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  return error ? std::string() : endpoint.address().to_string();
}

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> context)
    : socket_(std::move(socket)), context_(std::move(context)), peer_(peer_of(socket_)) {
  if (context_ != nullptr) tls_.emplace(socket_, *context_);
}

asio::awaitable<error_code> Connection::handshake() {
  if (!tls_) co_return error_code();
  const auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::server, kToken);
  co_return error;
}

asio::awaitable<Connection::Transfer> Connection::read_some(asio::mutable_buffer buffer) {
  if (tls_) {
    const auto [error, bytes] = co_await tls_->async_read_some(buffer, kToken);
    co_return Transfer{error, bytes};
  }
  const auto [error, bytes] = co_await socket_.async_read_some(buffer, kToken);
  co_return Transfer{error, bytes};
}

asio::awaitable<Connection::Transfer> Connection::write_some(asio::const_buffer buffer) {
  if (tls_) {
    const auto [error, bytes] = co_await tls_->async_write_some(buffer, kToken);
    co_return Transfer{error, bytes};
  }
  const auto [error, bytes] = co_await socket_.async_write_some(buffer, kToken);
  co_return Transfer{error, bytes};
}

asio::awaitable<void> Connection::finish() {
  if (!tls_ || !socket_.is_open()) co_return;
  const auto result = co_await tls_->async_shutdown(kToken);
  (void)result;
}

void Connection::cancel() {
  error_code ignored;
  socket_.cancel(ignored);
}

void Connection::shutdown_send() {
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

std::size_t Connection::unacknowledged() {
  int bytes = 0;
  const bool known = socket_.is_open() && ::ioctl(socket_.native_handle(), SIOCOUTQ, &bytes) == 0;
  return known && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

void Connection::close() {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace bundle::server
