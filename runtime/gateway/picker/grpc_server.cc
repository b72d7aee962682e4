#include "runtime/gateway/picker/grpc_server.h"

#include <chrono>
#include <list>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "runtime/gateway/picker/grpc_connection.h"
#include "runtime/gateway/sockets.h"

namespace bundle::gateway::picker {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMostConnections = 1024;

}  // namespace

/// Kept by its coroutines too.
class GrpcServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::io_context& context, tcp::acceptor acceptor, GrpcMethods methods)
      : context_(context),
        acceptor_(std::move(acceptor)),
        methods_(std::make_shared<const GrpcMethods>(std::move(methods))) {}

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  void run() { asio::co_spawn(context_, accept(), asio::detached); }

  void begin_drain() {
    stop_listening();
    for (const auto& connection : connections()) connection->begin_drain();
  }

  void end() {
    stop_listening();
    for (const auto& connection : connections()) connection->abort();
  }

 private:
  void stop_listening() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
  }

  /// Those that still are.
  std::vector<std::shared_ptr<GrpcConnection>> connections() {
    std::vector<std::shared_ptr<GrpcConnection>> alive;
    for (auto at = connections_.begin(); at != connections_.end();) {
      auto one = at->lock();
      at = one ? std::next(at) : connections_.erase(at);
      if (one) alive.push_back(std::move(one));
    }
    return alive;
  }

  asio::awaitable<void> accept() {
    const auto self = shared_from_this();
    while (acceptor_.is_open()) {
      auto [error, socket] = co_await acceptor_.async_accept(kToken);
      if (error) {
        co_await sleep(std::chrono::milliseconds(20));
        continue;
      }
      if (connections().size() >= kMostConnections) continue;  // closed at once
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      auto connection = std::make_shared<GrpcConnection>(std::move(socket), methods_);
      connections_.push_back(connection);
      asio::co_spawn(
          context_, [connection]() -> asio::awaitable<void> { co_await connection->run(); },
          asio::detached);
    }
  }

  asio::io_context& context_;
  tcp::acceptor acceptor_;
  std::shared_ptr<const GrpcMethods> methods_;
  std::list<std::weak_ptr<GrpcConnection>> connections_;
};

GrpcServer::GrpcServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrpcServer::~GrpcServer() { impl_->end(); }

Result<std::unique_ptr<GrpcServer>> GrpcServer::start(asio::io_context& context,
                                                      const std::string& host, std::uint16_t port,
                                                      GrpcMethods methods) {
  BUNDLE_TRY(tcp::acceptor acceptor, listen(context, host, port));
  auto impl = std::make_shared<Impl>(context, std::move(acceptor), std::move(methods));
  impl->run();
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

std::uint16_t GrpcServer::port() const { return impl_->port(); }
void GrpcServer::begin_drain() { impl_->begin_drain(); }

}  // namespace bundle::gateway::picker
