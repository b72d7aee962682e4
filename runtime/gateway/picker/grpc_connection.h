// One HTTP/2 connection of a gRPC client.
#pragma once

#include <map>
#include <memory>
#include <nghttp2/nghttp2.h>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "runtime/gateway/picker/grpc_server.h"

namespace bundle::gateway::picker {

/// Kept by the coroutines that read and write it. Not thread-safe.
class GrpcConnection : public std::enable_shared_from_this<GrpcConnection> {
 public:
  GrpcConnection(boost::asio::ip::tcp::socket socket, std::shared_ptr<const GrpcMethods> methods);
  ~GrpcConnection();
  GrpcConnection(const GrpcConnection&) = delete;
  GrpcConnection& operator=(const GrpcConnection&) = delete;

  /// Reads until the client is gone, or breaks the protocol.
  boost::asio::awaitable<void> run();
  /// No further call; it ends with its last one.
  void begin_drain();
  /// At once, with all its calls.
  void abort();

 private:
  class Stream;
  struct Callbacks;

  void begin_call(Stream& stream);
  Stream* find(std::int32_t id);
  void flush();
  boost::asio::awaitable<void> write();
  std::string take_output();
  void close();

  boost::asio::ip::tcp::socket socket_;
  std::shared_ptr<const GrpcMethods> methods_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, std::unique_ptr<Stream>> streams_;
  bool writing_ = false;
  bool draining_ = false;
};

}  // namespace bundle::gateway::picker
