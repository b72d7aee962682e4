#include "runtime/gateway/gateway.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/json.h"
#include "runtime/gateway/upstream.h"
#include "runtime/server/request_reader.h"

namespace bundle::gateway {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace asio::experimental::awaitable_operators;  // NOLINT: operators alone
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr milliseconds kTick{200};
constexpr std::size_t kPiece = 64u << 10;
constexpr std::size_t kMostHead = 64u << 10;
constexpr int kAttempts = 4;
constexpr seconds kWakeInterval{10};
constexpr char kEventHead[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Connection: close\r\n\r\n";

/// The other side has closed, or broken off.
bool is_gone(tcp::socket& socket) {
  char byte = 0;
  const ssize_t n = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

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

/// Text of a replica, safe in a comment line and a JSON string.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200)) {
    if (c >= ' ' && c < 0x7F && c != '"' && c != '\\') out += c;
  }
  return out;
}

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
  explicit Impl(GatewayOptions options) : options_(std::move(options)) {
    pool_.update(options_.backends);
    limits_.body_bytes = 64u << 20;
  }
  ~Impl() { stop(); }

  Status listen_all() {
    BUNDLE_TRY(acceptor_, listen(context_, options_.host, options_.port));
    port = acceptor_->local_endpoint().port();
    return {};
  }

  void run() {
    asio::co_spawn(context_, accept(), asio::detached);
    asio::co_spawn(context_, probe_all(), asio::detached);
    thread_ = std::thread([this] { context_.run(); });
  }

  void begin_drain() {
    asio::post(context_, [this] {
      boost::system::error_code ignored;
      draining_ = true;
      acceptor_->close(ignored);
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

 private:
  asio::awaitable<void> accept();
  asio::awaitable<void> probe_all();
  asio::awaitable<void> probe(Backend& backend);
  asio::awaitable<void> session(tcp::socket socket);
  asio::awaitable<std::optional<server::HttpRequest>> read_request(tcp::socket& socket);
  asio::awaitable<void> handle(tcp::socket& client, const server::HttpRequest& request);
  asio::awaitable<bool> hold(tcp::socket& client, const server::HttpRequest& request, bool stream,
                             bool& head_sent);
  asio::awaitable<Attempt> forward(tcp::socket& client, const server::HttpRequest& request,
                                   Backend& backend, bool head_sent, bool last);
  asio::awaitable<bool> connect(tcp::socket& socket, const Backend& backend);
  asio::awaitable<std::size_t> read_some(tcp::socket& socket, char* into, tcp::socket* watched,
                                         milliseconds limit);
  asio::awaitable<bool> send(tcp::socket& socket, std::string_view text);
  asio::awaitable<void> refuse(tcp::socket& client, const server::HttpRequest& request,
                               bool head_sent, const server::ApiError& error);
  asio::awaitable<void> sleep(milliseconds time);
  std::optional<server::HttpResponse> own_answer(const server::HttpRequest& request);
  Json state();
  int retry_after() const { return static_cast<int>(options_.startup.count()); }

  GatewayOptions options_;
  server::ServerLimits limits_;
  asio::io_context context_{1};
  std::optional<tcp::acceptor> acceptor_;
  Pool pool_;
  std::size_t sessions_ = 0;
  std::size_t held_ = 0;
  bool draining_ = false;
  Clock::time_point last_wake_{};
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable over_;
  bool finished_ = false;
};

asio::awaitable<void> Gateway::Impl::sleep(milliseconds time) {
  asio::steady_timer timer(context_, time);
  co_await timer.async_wait(kToken);
}

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
  while (sessions_ > 0 && Clock::now() < deadline) co_await sleep(milliseconds(50));
  const std::lock_guard lock(mutex_);
  finished_ = true;
  over_.notify_all();
}

asio::awaitable<void> Gateway::Impl::probe_all() {
  for (;;) {
    if (options_.discover) pool_.update(options_.discover());
    for (Backend* backend : pool_.all()) {
      if (backend->checking) continue;
      backend->checking = true;
      asio::co_spawn(context_, probe(*backend), asio::detached);
    }
    co_await sleep(seconds(1));
  }
}

/// GET /ready: 200 means yes; else the body says how far it is.
asio::awaitable<void> Gateway::Impl::probe(Backend& backend) {
  tcp::socket socket(context_);
  std::string answer;
  if (co_await connect(socket, backend)) {
    const std::string request = "GET /ready HTTP/1.0\r\nHost: " + backend.name() + "\r\n\r\n";
    if (co_await send(socket, request)) {
      std::string piece(kPiece, '\0');
      while (answer.size() < kMostHead) {
        const std::size_t n = co_await read_some(socket, piece.data(), nullptr, seconds(2));
        if (n == 0) break;
        answer.append(piece, 0, n);
      }
    }
  }
  backend.ready = status_of(answer) == 200;
  const std::size_t head = head_length(answer);
  const bool tells = !backend.ready && head != std::string_view::npos;
  backend.progress = tells ? printable(std::string_view(answer).substr(head)) : "";
  backend.checking = false;
}

asio::awaitable<bool> Gateway::Impl::connect(tcp::socket& socket, const Backend& backend) {
  tcp::resolver resolver(context_);
  const std::string port_text = std::to_string(backend.port);
  const std::string host = backend.host;  // the backend may go while we wait
  auto [unresolved, endpoints] = co_await resolver.async_resolve(host, port_text, kToken);
  if (unresolved) co_return false;
  asio::steady_timer timer(context_, options_.connect_timeout);
  auto result =
      co_await (asio::async_connect(socket, endpoints, kToken) || timer.async_wait(kToken));
  co_return result.index() == 0 && !std::get<0>(std::get<0>(result));
}

asio::awaitable<bool> Gateway::Impl::send(tcp::socket& socket, std::string_view text) {
  asio::steady_timer timer(context_, limits_.write_timeout);
  auto result =
      co_await (asio::async_write(socket, asio::buffer(text.data(), text.size()), kToken) ||
                timer.async_wait(kToken));
  co_return result.index() == 0 && !std::get<0>(std::get<0>(result));
}

/// At most kPiece bytes; 0 at the end, after `limit` (0: none), or when `watched` is gone.
asio::awaitable<std::size_t> Gateway::Impl::read_some(tcp::socket& socket, char* into,
                                                      tcp::socket* watched, milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  for (;;) {
    asio::steady_timer timer(context_, watched != nullptr ? milliseconds(1000) : limit);
    auto result = co_await (socket.async_read_some(asio::buffer(into, kPiece), kToken) ||
                            timer.async_wait(kToken));
    if (result.index() == 0) {
      const auto& [error, n] = std::get<0>(result);
      co_return error ? 0 : n;
    }
    if (watched == nullptr || is_gone(*watched)) co_return 0;
    if (limit.count() > 0 && Clock::now() >= deadline) co_return 0;
  }
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
    const std::size_t n = co_await read_some(socket, piece.data(), nullptr, limits_.body_timeout);
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
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    Backend* backend = pool_.pick(key, tried);
    if (backend == nullptr) {
      tried.clear();
      if (!co_await hold(client, request, stream, head_sent)) co_return;
      backend = pool_.pick(key, tried);
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

/// Waits until a replica is ready. False: the client was answered, or is gone.
asio::awaitable<bool> Gateway::Impl::hold(tcp::socket& client, const server::HttpRequest& request,
                                          bool stream, bool& head_sent) {
  if (pool_.any_ready()) co_return true;
  if (held_ >= options_.held_requests) {
    co_await refuse(client, request, head_sent,
                    server::unavailable("too_many_held", "Too many requests wait for a replica.",
                                        retry_after()));
    co_return false;
  }
  if (options_.wake && Clock::now() - last_wake_ > kWakeInterval) {
    last_wake_ = Clock::now();
    options_.wake();
  }
  ++held_;
  const auto began = Clock::now();
  auto next_comment = began + options_.comment_interval;
  bool alive = true;
  while (alive && !pool_.any_ready() && Clock::now() - began < options_.hold) {
    co_await sleep(kTick);
    if (is_gone(client)) alive = false;
    if (!alive || !stream || Clock::now() < next_comment) continue;
    next_comment += options_.comment_interval;
    const auto waited = std::chrono::duration_cast<seconds>(Clock::now() - began).count();
    const std::string progress = pool_.progress();
    const std::string comment = ": waiting for a replica, " + std::to_string(waited) + " s" +
                                (progress.empty() ? "" : "; " + progress) + "\n\n";
    alive = co_await send(client, (head_sent ? "" : kEventHead) + comment);
    head_sent = true;
  }
  --held_;
  if (alive && !pool_.any_ready()) {
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
  if (!co_await connect(upstream, backend)) co_return Attempt::kNothing;
  if (!co_await send(upstream, upstream_request(request, backend, head_sent || request.http_1_0))) {
    co_return Attempt::kNothing;
  }
  std::string answer;
  std::string piece(kPiece, '\0');
  std::size_t head = std::string::npos;
  while (head == std::string::npos && answer.size() < kMostHead) {
    const std::size_t n = co_await read_some(upstream, piece.data(), &client, milliseconds(0));
    if (n == 0) break;
    answer.append(piece, 0, n);
    head = head_length(answer);
  }
  if (is_gone(client)) co_return Attempt::kDone;
  if (head == std::string::npos) co_return Attempt::kNothing;
  const int status = status_of(answer);
  if (says_it_ends(status, answer) && !last) co_return Attempt::kNothing;
  if ((status == 503 || status == 429) && !last) {
    if (pool_.any_ready(&backend)) co_return Attempt::kTurnedAway;
  }
  if (head_sent) {
    // The head went out while the request was held: an error can only be an event now.
    answer.erase(0, head);
    if (status != 200) answer = "data: " + answer + "\n\n";
  }
  ++backend.answers;
  if (!co_await send(client, answer)) co_return Attempt::kDone;
  for (;;) {
    const std::size_t n = co_await read_some(upstream, piece.data(), &client, milliseconds(0));
    if (n == 0) co_return Attempt::kDone;
    if (!co_await send(client, std::string_view(piece.data(), n))) co_return Attempt::kDone;
  }
}

Json Gateway::Impl::state() {
  JsonArray list;
  for (const Backend* one : pool_.all()) {
    list.push_back(JsonObject{{"replica", one->name()},
                              {"revision", one->group},
                              {"weight", one->weight},
                              {"ready", one->ready},
                              {"in_flight", one->in_flight},
                              {"answers", one->answers},
                              {"message", one->progress}});
  }
  return JsonObject{{"replicas", std::move(list)}, {"held", held_}, {"connections", sessions_}};
}

/// The gateway's own routes; everything else is the replicas'.
std::optional<server::HttpResponse> Gateway::Impl::own_answer(const server::HttpRequest& request) {
  server::HttpResponse response;
  if (request.path == "/gateway/status") {
    response.body = print_json(state());
    return response;
  }
  if (request.path == "/health" || request.path == "/ready") {
    const bool ready = request.path == "/health" || pool_.any_ready();
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
void Gateway::begin_drain() { impl_->begin_drain(); }
void Gateway::wait() { impl_->wait(); }

}  // namespace bundle::gateway
