#include "runtime/gateway/gateway.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/json.h"
#include "runtime/gateway/picker/picker.h"
#include "runtime/gateway/replica_watch.h"
#include "runtime/gateway/sockets.h"
#include "runtime/gateway/upstream.h"
#include "runtime/gateway/waiting_room.h"
#include "runtime/server/request_reader.h"

namespace bundle::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr milliseconds kTick{200};
constexpr std::size_t kPiece = 64u << 10;
constexpr std::size_t kMostHead = 64u << 10;
constexpr int kAttempts = 4;
constexpr char kEventHead[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Connection: close\r\n\r\n";

/// A member "stream": true, wherever blanks are. A text that holds these very bytes inside a string
/// escapes its quotes, so it does not match.
bool asks_for_stream(std::string_view body) {
  constexpr std::string_view kMember = "\"stream\"";
  for (std::size_t at = 0; (at = body.find(kMember, at)) != std::string_view::npos;) {
    const bool escaped = at > 0 && body[at - 1] == '\\';
    at += kMember.size();
    std::string_view rest = body.substr(at, 64);
    const auto skip = [&rest] {
      while (!rest.empty() && std::isspace(static_cast<unsigned char>(rest[0])) != 0) {
        rest.remove_prefix(1);
      }
    };
    skip();
    if (escaped || !rest.starts_with(':')) continue;
    rest.remove_prefix(1);
    skip();
    if (rest.starts_with("true")) return true;
  }
  return false;
}

/// A 503 by which a replica says that it ends, and not that it is full: its successor will answer,
/// or another replica does.
bool says_it_ends(int status, std::string_view answer) {
  return status == 503 && answer.find("\"draining\"") != std::string_view::npos;
}

/// How an attempt at one replica ended.
enum class Attempt {
  kDone,       // the client has an answer, or is gone
  kNothing,    // the replica gave no byte, or said that it ends
  kTurnedAway  // the replica is full; another one may not be
};

}  // namespace

class Gateway::Impl {
 public:
  explicit Impl(GatewayOptions options)
      : options_(std::move(options)),
        watch_(context_, {options_.backends, options_.discover, options_.connect_timeout}),
        room_(options_.held_requests, options_.wake) {
    limits_.body_bytes = 64u << 20;
  }
  ~Impl() { stop(); }

  Status listen_all() {
    BUNDLE_TRY(acceptor_, listen(context_, options_.host, options_.port));
    port = acceptor_->local_endpoint().port();
    if (!options_.picker_port) return {};
    BUNDLE_TRY(picker_, picker::Picker::start(context_, watch_, room_,
                                              {.host = options_.host,
                                               .port = *options_.picker_port,
                                               .endpoints = options_.picker_endpoints,
                                               .hold = options_.hold,
                                               .startup = options_.startup}));
    picker_port = picker_->port();
    return {};
  }

  void run() {
    asio::co_spawn(context_, accept(), asio::detached);
    watch_.start();
    thread_ = std::thread([this] { context_.run(); });
  }

  void begin_drain() {
    asio::post(context_, [this] {
      boost::system::error_code ignored;
      draining_ = true;
      acceptor_->close(ignored);
      if (picker_) picker_->begin_drain();
    });
  }

  void wait() {
    std::unique_lock lock(mutex_);
    over_.wait(lock, [this] { return finished_; });
  }

  void stop() {
    if (!thread_.joinable()) return;
    context_.stop();
    thread_.join();
  }

  std::uint16_t port = 0;
  std::uint16_t picker_port = 0;

 private:
  Pool& pool() { return watch_.pool(); }
  /// Connections, and requests at the picker.
  std::size_t running() const { return sessions_ + (picker_ ? picker_->running() : 0); }
  asio::awaitable<void> accept();
  asio::awaitable<void> session(tcp::socket socket);
  asio::awaitable<std::optional<server::HttpRequest>> read_request(tcp::socket& socket);
  asio::awaitable<void> handle(tcp::socket& client, const server::HttpRequest& request);
  asio::awaitable<bool> hold(tcp::socket& client, const server::HttpRequest& request, bool stream,
                             bool& head_sent, Clock::time_point began);
  asio::awaitable<Attempt> forward(tcp::socket& client, const server::HttpRequest& request,
                                   Backend& backend, bool head_sent, bool last);
  asio::awaitable<bool> send(tcp::socket& socket, std::string_view text) {
    return gateway::send(socket, text, limits_.write_timeout);
  }
  asio::awaitable<void> refuse(tcp::socket& client, const server::HttpRequest& request,
                               bool head_sent, const server::ApiError& error);
  std::optional<server::HttpResponse> own_answer(const server::HttpRequest& request);
  Json state();
  int retry_after() const { return static_cast<int>(options_.startup.count()); }

  GatewayOptions options_;
  server::ServerLimits limits_;
  asio::io_context context_{1};
  std::optional<tcp::acceptor> acceptor_;
  ReplicaWatch watch_;
  WaitingRoom room_;
  std::unique_ptr<picker::Picker> picker_;  // uses the two above
  std::size_t sessions_ = 0;
  bool draining_ = false;
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable over_;
  bool finished_ = false;
};

asio::awaitable<void> Gateway::Impl::accept() {
  while (!draining_) {
    auto [error, socket] = co_await acceptor_->async_accept(kToken);
    if (draining_) break;
    if (error) {
      co_await sleep(milliseconds(20));
      continue;
    }
    if (sessions_ >= options_.connections) continue;  // closed at once: no descriptor is left over
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    asio::co_spawn(context_, session(std::move(socket)), asio::detached);
  }
  const auto deadline = Clock::now() + options_.drain;
  while (running() > 0 && Clock::now() < deadline) co_await sleep(milliseconds(50));
  const std::lock_guard lock(mutex_);
  finished_ = true;
  over_.notify_all();
}

asio::awaitable<void> Gateway::Impl::session(tcp::socket socket) {
  ++sessions_;
  if (auto request = co_await read_request(socket)) co_await handle(socket, *request);
  boost::system::error_code ignored;
  socket.shutdown(tcp::socket::shutdown_both, ignored);
  --sessions_;
}

asio::awaitable<std::optional<server::HttpRequest>> Gateway::Impl::read_request(
    tcp::socket& socket) {
  using State = server::RequestReader::State;
  server::RequestReader reader(limits_);
  std::string pending;
  std::string piece(kPiece, '\0');
  bool continued = false;
  while (reader.state() == State::kHead || reader.state() == State::kBody) {
    const std::size_t n = co_await read_some(socket, piece, nullptr, limits_.body_timeout);
    if (n == 0) co_return std::nullopt;
    pending.append(piece, 0, n);
    pending.erase(0, reader.feed(pending));
    const bool waits = reader.state() == State::kBody && reader.head().expects_continue;
    if (waits && !continued) {
      continued = true;
      if (!co_await send(socket, "HTTP/1.1 100 Continue\r\n\r\n")) co_return std::nullopt;
    }
  }
  if (reader.state() == State::kFailed) {
    const server::HttpResponse response = server::error_response(reader.error());
    co_await send(
        socket,
        server::response_head(response, reader.head(), true, response.body.size()) + response.body);
    co_return std::nullopt;
  }
  co_return reader.take();
}

asio::awaitable<void> Gateway::Impl::refuse(tcp::socket& client, const server::HttpRequest& request,
                                            bool head_sent, const server::ApiError& error) {
  if (head_sent) {
    co_await send(client, "data: " + server::error_json(error) + "\n\n");
    co_return;
  }
  const server::HttpResponse response = server::error_response(error);
  co_await send(
      client, server::response_head(response, request, true, response.body.size()) + response.body);
}

asio::awaitable<void> Gateway::Impl::handle(tcp::socket& client,
                                            const server::HttpRequest& request) {
  if (const auto own = own_answer(request)) {
    co_await send(client, server::response_head(*own, request, true, own->body.size()) + own->body);
    co_return;
  }
  const bool stream = request.method == "POST" && asks_for_stream(request.body);
  const std::uint64_t key = prefix_key(request.body);
  std::vector<Backend*> tried;
  bool head_sent = false;
  const auto began = Clock::now();
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    Backend* backend = pool().pick(key, tried);
    if (backend == nullptr) {
      tried.clear();
      if (!co_await hold(client, request, stream, head_sent, began)) co_return;
      backend = pool().pick(key, tried);
    }
    if (backend == nullptr) continue;
    ++backend->in_flight;
    const Attempt ended =
        co_await forward(client, request, *backend, head_sent, attempt == kAttempts);
    --backend->in_flight;
    if (ended == Attempt::kDone) co_return;
    // Nobody is sent there until the next probe has found it alive.
    if (ended == Attempt::kNothing) backend->ready = false;
    tried.push_back(backend);
  }
  co_await refuse(
      client, request, head_sent,
      server::unavailable("no_replica", "No replica could take the request.", retry_after()));
}

/// Waits until a replica is ready, however often a request that came at `began` has to. False: the
/// client was answered, or is gone.
asio::awaitable<bool> Gateway::Impl::hold(tcp::socket& client, const server::HttpRequest& request,
                                          bool stream, bool& head_sent, Clock::time_point began) {
  if (pool().any_ready()) co_return true;
  if (!room_.enter()) {
    co_await refuse(client, request, head_sent,
                    server::unavailable("too_many_held", "Too many requests wait for a replica.",
                                        retry_after()));
    co_return false;
  }
  auto next_comment = Clock::now() + options_.comment_interval;
  bool alive = true;
  while (alive && !pool().any_ready() && Clock::now() - began < options_.hold) {
    co_await sleep(kTick);
    if (is_gone(client)) alive = false;
    if (!alive || !stream || Clock::now() < next_comment) continue;
    next_comment += options_.comment_interval;
    const auto waited = std::chrono::duration_cast<seconds>(Clock::now() - began).count();
    const std::string progress = pool().progress();
    const std::string comment = ": waiting for a replica, " + std::to_string(waited) + " s" +
                                (progress.empty() ? "" : "; " + progress) + "\n\n";
    alive = co_await send(client, (head_sent ? "" : kEventHead) + comment);
    head_sent = true;
  }
  room_.leave();
  if (alive && !pool().any_ready()) {
    co_await refuse(
        client, request, head_sent,
        server::unavailable("no_replica", "No replica was ready in time.", retry_after()));
    co_return false;
  }
  co_return alive;
}

asio::awaitable<Attempt> Gateway::Impl::forward(tcp::socket& client,
                                                const server::HttpRequest& request,
                                                Backend& backend, bool head_sent, bool last) {
  tcp::socket upstream(context_);
  if (!co_await connect(upstream, backend.host, backend.port, options_.connect_timeout)) {
    co_return Attempt::kNothing;
  }
  if (!co_await send(upstream, upstream_request(request, backend, head_sent || request.http_1_0))) {
    co_return Attempt::kNothing;
  }
  std::string answer;
  std::string piece(kPiece, '\0');
  std::size_t head = std::string::npos;
  while (head == std::string::npos && answer.size() < kMostHead) {
    const std::size_t n = co_await read_some(upstream, piece, &client, milliseconds(0));
    if (n == 0) break;
    answer.append(piece, 0, n);
    head = head_length(answer);
  }
  if (is_gone(client)) co_return Attempt::kDone;
  if (head == std::string::npos || !is_sound_head(std::string_view(answer).substr(0, head))) {
    co_return Attempt::kNothing;
  }
  const int status = status_of(answer);
  if (says_it_ends(status, answer) && !last) co_return Attempt::kNothing;
  if ((status == 503 || status == 429) && !last) {
    if (pool().any_ready(&backend)) co_return Attempt::kTurnedAway;
  }
  if (head_sent) {
    // The head went out while the request was held: an error can only be an event now.
    answer.erase(0, head);
    if (status != 200) answer = "data: " + answer + "\n\n";
  }
  ++backend.answers;
  if (!co_await send(client, answer)) co_return Attempt::kDone;
  for (;;) {
    const std::size_t n = co_await read_some(upstream, piece, &client, milliseconds(0));
    if (n == 0) co_return Attempt::kDone;
    if (!co_await send(client, std::string_view(piece.data(), n))) co_return Attempt::kDone;
  }
}

Json Gateway::Impl::state() {
  JsonArray list;
  for (const Backend* one : pool().all()) {
    list.push_back(JsonObject{{"replica", one->name()},
                              {"revision", one->group},
                              {"weight", one->weight},
                              {"ready", one->ready},
                              {"in_flight", one->in_flight},
                              {"answers", one->answers},
                              {"message", one->progress}});
  }
  return JsonObject{
      {"replicas", std::move(list)}, {"held", room_.taken()}, {"connections", sessions_}};
}

/// The gateway's own routes; everything else is the replicas'.
std::optional<server::HttpResponse> Gateway::Impl::own_answer(const server::HttpRequest& request) {
  server::HttpResponse response;
  if (request.path == "/gateway/status") {
    response.body = print_json(state());
    return response;
  }
  if (request.path == "/health" || request.path == "/ready") {
    const bool ready = request.path == "/health" || pool().any_ready();
    response.status = ready ? 200 : 503;
    response.body = ready ? R"({"status":"ready"})" : R"({"status":"no replica is ready"})";
    return response;
  }
  return std::nullopt;
}

Gateway::Gateway(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gateway::~Gateway() = default;

Result<std::unique_ptr<Gateway>> Gateway::start(GatewayOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  BUNDLE_CHECK(impl->listen_all());
  impl->run();
  return std::unique_ptr<Gateway>(new Gateway(std::move(impl)));
}

std::uint16_t Gateway::port() const { return impl_->port; }
std::uint16_t Gateway::picker_port() const { return impl_->picker_port; }
void Gateway::begin_drain() { impl_->begin_drain(); }
void Gateway::wait() { impl_->wait(); }

}  // namespace bundle::gateway
