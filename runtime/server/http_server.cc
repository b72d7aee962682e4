#include "runtime/server/http_server.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <sys/socket.h>
#include <thread>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>

#include "runtime/server/session.h"
#include "runtime/server/tls.h"

namespace bundle::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr auto kTick = std::chrono::milliseconds(100);
constexpr auto kLastWords =
    std::chrono::seconds(1);  // to send what an interrupted answer ends with
constexpr std::int64_t kAdminConnections = 64;
constexpr std::size_t kSessionsAtOnce = 32;

Result<tcp::acceptor> listen(asio::io_context& context, const std::string& host,
                             std::uint16_t port) {
  const std::string where = host + ":" + std::to_string(port);
  const auto fail = [&](const boost::system::error_code& error) {
    return Error{ErrorCode::kUnreachable, "cannot listen: " + error.message(), where,
                 "Choose another address or port, or stop what uses it."};
  };
  boost::system::error_code error;
  const auto found =
      tcp::resolver(context).resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || found.empty()) return fail(error);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  tcp::acceptor acceptor(context);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(error);
  return acceptor;
}

/// A socket that somebody else opened, and that listens.
Result<tcp::acceptor> adopt(asio::io_context& context, int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const bool known = ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  const bool v6 = address.ss_family == AF_INET6;
  tcp::acceptor acceptor(context);
  boost::system::error_code error = asio::error::operation_not_supported;
  if (known && (v6 || address.ss_family == AF_INET)) {
    acceptor.assign(v6 ? tcp::v6() : tcp::v4(), socket, error);
  }
  if (error) {
    return Error{ErrorCode::kUnreachable, "the socket that was passed does not listen on TCP",
                 "descriptor " + std::to_string(socket), "Set ListenStream= to a port."};
  }
  return acceptor;
}

std::string full_house() {
  const HttpResponse response = error_response(
      unavailable("too_many_connections", "The server has all the connections it allows.", 1));
  return response_head(response, {}, /*close=*/true, response.body.size()) + response.body;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(ServerOptions options, std::shared_ptr<engine::EngineClient> engine)
      : service(std::move(options), std::move(engine)), api_(service) {}
  ~Impl() { stop(); }

  Status listen_all();
  Status set_tls(const TlsFiles& files);
  void run();
  void begin_drain();
  bool close_if_idle(std::chrono::seconds idle);
  bool wait();
  void stop();

  Service service;
  std::uint16_t port = 0;
  std::uint16_t admin_port = 0;

 private:
  using Clock = Session::Clock;

  asio::awaitable<bool> try_to_close(std::chrono::seconds idle);
  bool is_idle(std::chrono::seconds idle);
  asio::awaitable<void> accept(tcp::acceptor& acceptor, Door door);
  asio::awaitable<void> turn_away(tcp::socket socket);
  asio::awaitable<void> tick();
  asio::awaitable<void> tick_sessions(Clock::time_point now);
  void admit(tcp::socket socket, Door door);
  bool make_room();
  std::shared_ptr<TlsContext> tls_for(Door door);
  void forget(const std::shared_ptr<Session>& session);
  void check_drain(Clock::time_point now);
  void finish(bool clean);
  void close_all();
  bool any_pending() const;

  Api api_;
  asio::io_context context_{1};
  asio::thread_pool workers_{2};
  asio::steady_timer timer_{context_};
  std::optional<tcp::acceptor> acceptor_;
  std::optional<tcp::acceptor> admin_acceptor_;
  std::set<std::shared_ptr<Session>> sessions_;  // of the I/O thread, as all below up to mutex_
  std::optional<Clock::time_point> drain_until_;
  bool interrupted_ = false;
  bool holding_ = false;  // connections wait in the public socket's queue
  bool closed_ = false;
  std::thread thread_;

  std::mutex mutex_;
  std::shared_ptr<TlsContext> tls_;  // of new connections
  std::condition_variable over_;
  bool finished_ = false;
  bool clean_ = false;
};

Status HttpServer::Impl::listen_all() {
  const ServerOptions& options = service.options();
  BUNDLE_TRY(acceptor_, options.socket ? adopt(context_, *options.socket)
                                       : listen(context_, options.host, options.port));
  port = acceptor_->local_endpoint().port();
  if (options.admin_port || options.admin_socket) {
    BUNDLE_TRY(admin_acceptor_, options.admin_socket
                                    ? adopt(context_, *options.admin_socket)
                                    : listen(context_, options.admin_host, *options.admin_port));
    admin_port = admin_acceptor_->local_endpoint().port();
  }
  return {};
}

Status HttpServer::Impl::set_tls(const TlsFiles& files) {
  if (files.certificate.empty()) return {};
  BUNDLE_TRY(auto fresh, load_tls(files));
  const std::lock_guard lock(mutex_);
  tls_ = std::move(fresh);
  return {};
}

std::shared_ptr<TlsContext> HttpServer::Impl::tls_for(Door door) {
  const std::lock_guard lock(mutex_);
  return door == Door::kPublic ? tls_ : nullptr;
}

void HttpServer::Impl::run() {
  asio::co_spawn(context_, accept(*acceptor_, Door::kPublic), asio::detached);
  if (admin_acceptor_) {
    asio::co_spawn(context_, accept(*admin_acceptor_, Door::kAdmin), asio::detached);
  }
  asio::co_spawn(context_, tick(), asio::detached);
  thread_ = std::thread([this] { context_.run(); });
}

asio::awaitable<void> HttpServer::Impl::accept(tcp::acceptor& acceptor, Door door) {
  while (!closed_) {
    if (!holding_ || door != Door::kPublic) {
      auto [error, socket] = co_await acceptor.async_accept(kToken);
      if (closed_) co_return;
      if (!error) {
        admit(std::move(socket), door);
        continue;
      }
    }
    // Held, or out of descriptors: some come free when connections end.
    asio::steady_timer pause(context_, std::chrono::milliseconds(20));
    co_await pause.async_wait(kToken);
  }
}

void HttpServer::Impl::admit(tcp::socket socket, Door door) {
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  const auto most = static_cast<std::int64_t>(service.options().limits.connections) +
                    (door == Door::kAdmin ? kAdminConnections : 0);
  const bool full = service.connections >= most && !make_room();
  if (full && tls_for(door) != nullptr) return;  // who expects TLS would not understand the words
  if (full) {
    asio::co_spawn(context_, turn_away(std::move(socket)), asio::detached);
    return;
  }
  auto session =
      std::make_shared<Session>(std::move(socket), tls_for(door), service, api_, workers_, door);
  sessions_.insert(session);
  session->start([this](const std::shared_ptr<Session>& ended) { forget(ended); });
}

/// Closes the connection that has waited longest for a request to come: many slow clients make room
/// for those that have something to say. False when all are being answered.
bool HttpServer::Impl::make_room() {
  std::shared_ptr<Session> longest;
  for (const auto& session : sessions_) {
    if (!session->waiting_since()) continue;
    if (longest == nullptr || *session->waiting_since() < *longest->waiting_since()) {
      longest = session;
    }
  }
  if (longest == nullptr) return false;
  longest->cut();
  return true;
}

asio::awaitable<void> HttpServer::Impl::turn_away(tcp::socket socket) {
  static const std::string response = full_house();
  boost::system::error_code ignored;
  // It fits in the send buffer of a fresh socket, so this does not wait.
  co_await asio::async_write(socket, asio::buffer(response), kToken);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

void HttpServer::Impl::forget(const std::shared_ptr<Session>& session) {
  sessions_.erase(session);
  if (drain_until_) check_drain(Clock::now());
}

asio::awaitable<void> HttpServer::Impl::tick() {
  auto next_second = Clock::now();
  while (!closed_) {
    const auto now = Clock::now();
    if (now >= next_second) {
      service.tick();
      next_second = now + std::chrono::seconds(1);
    }
    co_await tick_sessions(now);
    if (drain_until_) check_drain(now);
    timer_.expires_after(kTick);
    co_await timer_.async_wait(kToken);
  }
}

/// Thousands may be due at once, and each then has its last words to say: others come between them.
asio::awaitable<void> HttpServer::Impl::tick_sessions(Clock::time_point now) {
  const std::vector<std::shared_ptr<Session>> all(sessions_.begin(), sessions_.end());
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i]->tick(now);
    if (i % kSessionsAtOnce == kSessionsAtOnce - 1) co_await asio::post(context_, kToken);
  }
}

void HttpServer::Impl::begin_drain() {
  service.begin_drain();
  asio::post(context_, [this] {
    if (drain_until_ || closed_) return;
    drain_until_ = Clock::now() + service.options().drain_timeout;
    for (const auto& session : sessions_) session->drain();
    check_drain(Clock::now());
  });
}

bool HttpServer::Impl::close_if_idle(std::chrono::seconds idle) {
  if (!thread_.joinable()) return false;
  return asio::co_spawn(context_, try_to_close(idle), asio::use_future).get();
}

asio::awaitable<bool> HttpServer::Impl::try_to_close(std::chrono::seconds idle) {
  if (closed_ || !is_idle(idle)) co_return false;
  holding_ = true;
  boost::system::error_code ignored;
  acceptor_->cancel(ignored);
  // Who came in at the last moment is heard first.
  asio::steady_timer pause(context_, kTick);
  co_await pause.async_wait(kToken);
  holding_ = is_idle(idle);
  co_return holding_;
}

/// A connection that has just been made, or has just been answered, is about to ask something; the
/// admin port's probes and scrapes are nobody's questions.
bool HttpServer::Impl::is_idle(std::chrono::seconds idle) {
  const auto recent = Clock::now() - std::chrono::seconds(1);
  const bool silent = std::all_of(sessions_.begin(), sessions_.end(), [&](const auto& session) {
    if (session->door() == Door::kAdmin) return true;
    return !session->busy() && session->waiting_since().value_or(Clock::now()) < recent;
  });
  return silent && service.load().figures().idle >= static_cast<double>(idle.count());
}

bool HttpServer::Impl::any_pending() const {
  return std::any_of(sessions_.begin(), sessions_.end(),
                     [](const auto& session) { return session->pending(); });
}

void HttpServer::Impl::check_drain(Clock::time_point now) {
  if (closed_) return;
  if (!any_pending()) return finish(!interrupted_);
  if (now < *drain_until_) return;
  if (interrupted_) return finish(false);
  interrupted_ = true;
  drain_until_ = now + kLastWords;
  const ApiError error = unavailable("draining", "The server is shutting down.", 5);
  for (const auto& session : sessions_) session->interrupt(error);
}

void HttpServer::Impl::finish(bool clean) {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  clean_ = clean;
  over_.notify_all();
}

bool HttpServer::Impl::wait() {
  std::unique_lock lock(mutex_);
  over_.wait(lock, [this] { return finished_; });
  return clean_;
}

void HttpServer::Impl::close_all() {
  closed_ = true;
  boost::system::error_code ignored;
  acceptor_->close(ignored);
  if (admin_acceptor_) admin_acceptor_->close(ignored);
  timer_.cancel();
  for (const auto& session : sessions_) session->cut();
}

void HttpServer::Impl::stop() {
  finish(false);
  if (!thread_.joinable()) return;
  asio::post(context_, [this] { close_all(); });
  thread_.join();
  workers_.join();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(
    ServerOptions options, std::shared_ptr<engine::EngineClient> engine) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(engine));
  BUNDLE_CHECK(impl->set_tls(impl->service.options().tls));
  BUNDLE_TRY(AccessLog log, AccessLog::open(impl->service.options().access_log));
  impl->service.set_access_log(std::move(log));
  BUNDLE_CHECK(impl->listen_all());
  impl->run();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

void HttpServer::set_api_keys(std::vector<ApiKey> keys) {
  impl_->service.keys().replace(std::move(keys));
}
HttpServer::State HttpServer::state() const {
  const Service& service = impl_->service;
  return {service.ready(), service.alive(), readiness_word(service.readiness())};
}
Status HttpServer::set_tls(const TlsFiles& files) { return impl_->set_tls(files); }
void HttpServer::set_model(ServedModel model) { impl_->service.set_model(std::move(model)); }
std::uint16_t HttpServer::port() const { return impl_->port; }
std::uint16_t HttpServer::admin_port() const { return impl_->admin_port; }
void HttpServer::begin_drain() { impl_->begin_drain(); }
bool HttpServer::close_if_idle(std::chrono::seconds idle) { return impl_->close_if_idle(idle); }
bool HttpServer::wait() { return impl_->wait(); }
void HttpServer::stop() { impl_->stop(); }

}  // namespace bundle::server
