// One TCP connection, with TLS over it or without: what a session reads from and writes to.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "runtime/server/tls.h"

namespace bundle::server {

/// Belongs to one thread. One read and one write may be under way at a time.
class Connection {
 public:
  struct Transfer {
    boost::system::error_code error;
    std::size_t bytes = 0;
  };

  /// A null context: without TLS.
  Connection(boost::asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> context);

  auto executor() { return socket_.get_executor(); }
  bool is_open() const { return socket_.is_open(); }
  bool secure() const { return tls_.has_value(); }
  /// "127.0.0.1", "::1"; "" when the other side has gone.
  const std::string& peer() const { return peer_; }

  /// To be awaited before anything else; does nothing without TLS.
  boost::asio::awaitable<boost::system::error_code> handshake();
  boost::asio::awaitable<Transfer> read_some(boost::asio::mutable_buffer buffer);
  boost::asio::awaitable<Transfer> write_some(boost::asio::const_buffer buffer);
  /// Says goodbye, so that the other side can tell an end from a cut.
  boost::asio::awaitable<void> finish();

  /// Ends what is under way with operation_aborted.
  void cancel();
  void shutdown_send();
  /// Bytes that were written and that the other side's kernel has not got yet.
  std::size_t unacknowledged();
  void close();

 private:
  boost::asio::ip::tcp::socket socket_;
  std::shared_ptr<TlsContext> context_;  // of tls_: outlives its replacement
  std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
  std::string peer_;
};

}  // namespace bundle::server
