// gRPC calls over HTTP/2 without TLS: nghttp2 does HTTP/2, this its five bytes before a message and
// its status in the trailers. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>

#include "base/result.h"

namespace bundle::gateway::picker {

enum class GrpcStatus : std::uint8_t {
  kOk = 0,
  kInvalidArgument = 3,
  kNotFound = 5,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14
};

/// The way back to the client of a call. Valid as long as the call.
class GrpcReply {
 public:
  virtual ~GrpcReply() = default;
  virtual void send(std::string_view message) = 0;
  /// The last thing: `text` says why a status is not kOk. A second one is ignored.
  virtual void finish(GrpcStatus status, std::string_view text = "") = 0;
};

/// One call, as its service sees it. Gone when the client is, or has the status.
class GrpcCall {
 public:
  virtual ~GrpcCall() = default;
  virtual void on_message(std::string_view message) = 0;
  /// The client sends no more.
  virtual void on_end() = 0;
};

/// By path, "/package.Service/Method"; an unknown one is answered UNIMPLEMENTED.
using GrpcMethods = std::map<std::string, std::function<std::unique_ptr<GrpcCall>(GrpcReply&)>>;

/// Belongs to the thread that runs the context; the context must have stopped before this goes.
class GrpcServer {
 public:
  static Result<std::unique_ptr<GrpcServer>> start(boost::asio::io_context& context,
                                                   const std::string& host, std::uint16_t port,
                                                   GrpcMethods methods);
  /// Ends all calls.
  ~GrpcServer();

  std::uint16_t port() const;
  /// Takes no further connection, and tells those that there are to call elsewhere.
  void begin_drain();

 private:
  class Impl;
  explicit GrpcServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace bundle::gateway::picker
