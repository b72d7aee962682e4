#include "runtime/server/session.h"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "runtime/server/random_id.h"
#include "runtime/server/request_timeout.h"

namespace bundle::server {
namespace {

namespace asio = boost::asio;

// g++ 12 makes wrong code of a co_await inside a loop's condition or beside temporaries that need
// destroying: here each stands in a statement of its own, on named values.
constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadBytes = 16u << 10;
constexpr std::size_t kPipelinedBytes = 64u << 10;  // taken in ahead while an answer is made
constexpr std::size_t kShortBody = 64u << 10;       // read to its end though it is refused
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr auto kLinger = std::chrono::seconds(2);
constexpr auto kFarewell = std::chrono::seconds(1);  // for TLS's last words

std::string request_id(const HttpRequest& request) {
  const std::string_view given = request.field("x-request-id");
  const bool usable =
      !given.empty() && given.size() <= 128 && std::all_of(given.begin(), given.end(), [](char c) {
        return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
      });
  return usable ? std::string(given) : random_id("req-");
}

std::string_view view(const boost::beast::flat_buffer& buffer) {
  return {static_cast<const char*>(buffer.cdata().data()), buffer.size()};
}

void append_chunk(std::string& out, std::string_view bytes) {
  char size[20];
  const int digits = std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  out.append(size, static_cast<std::size_t>(digits));
  out += bytes;
  out += "\r\n";
}

const HttpResponse& stream_response() {
  static const HttpResponse response{
      .content_type = "text/event-stream; charset=utf-8",
      .fields = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}};
  return response;
}

}  // namespace

Session::Session(asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> tls, Service& service,
                 const Api& api, asio::thread_pool& workers, Door door)
    : connection_(std::move(socket), std::move(tls)),
      service_(service),
      api_(api),
      workers_(workers),
      door_(door),
      signal_(connection_.executor()) {
  ++service_.connections;
}

Session::~Session() { --service_.connections; }

void Session::start(std::function<void(const std::shared_ptr<Session>&)> on_end) {
  asio::co_spawn(
      connection_.executor(), [self = shared_from_this()] { return self->run(); },
      [self = shared_from_this(), on_end = std::move(on_end)](const std::exception_ptr&) {
        self->cut();
        on_end(self);
      });
}

void Session::tick(Clock::time_point now) {
  if (now >= deadline_) {
    deadline_ = Clock::time_point::max();
    timed_out_ = true;
    connection_.cancel();
  }
  const std::size_t most = service_.options().limits.pending_bytes;
  if (generation_ != nullptr && generation_->streams() && generation_->pending_bytes() > most) {
    cut();
  }
}

std::optional<Session::Clock::time_point> Session::waiting_since() const {
  if (!reading_ || !connection_.is_open()) return std::nullopt;
  return reading_since_;
}

void Session::drain() {
  closing_ = true;
  if (busy_) return;
  if (connection_.unacknowledged() == 0) return cut();
  connection_.shutdown_send();
  deadline_ = Clock::now() + kLinger;
}

void Session::interrupt(const ApiError& error) {
  if (generation_ == nullptr) return;
  generation_->interrupt(error);
  wake();
}

void Session::cut() {
  connection_.close();
  client_left_ = true;
  wake();
}

Session::Awaitable<> Session::run() {
  deadline_ = Clock::now() + service_.options().limits.header_timeout;
  const auto refused = co_await connection_.handshake();
  bool open = !refused;
  while (open) {
    const bool asked = co_await read_request();
    if (asked) co_await answer();
    if (closing_ && asked) co_await deliver();
    busy_ = false;
    open = asked && !closing_ && connection_.is_open();
  }
  if (refused || !connection_.is_open()) co_return;
  if (unread_input_) {
    co_await linger();
  } else {
    deadline_ = Clock::now() + kFarewell;
    co_await connection_.finish();
  }
}

/// False when the connection is over.
Session::Awaitable<bool> Session::read_request() {
  const ServerLimits& limits = service_.options().limits;
  reader_ = std::make_unique<RequestReader>(limits);
  refusal_.reset();
  head_taken_ = false;
  reading_ = true;
  reading_since_ = Clock::now();
  deadline_ = reading_since_ + limits.idle_timeout;
  while (true) {
    const std::size_t before = input_.size();
    input_.consume(reader_->feed(view(input_)));
    if (!busy_ && before > 0) {
      busy_ = true;
      deadline_ = Clock::now() + limits.header_timeout;
    }
    if (reader_->state() == RequestReader::State::kFailed) {
      co_await refuse(reader_->error());
      co_return false;
    }
    if (reader_->state() != RequestReader::State::kHead && !head_taken_) {
      const bool wanted = co_await take_head();
      if (!wanted) co_return false;
      if (input_.size() > 0 && reader_->state() != RequestReader::State::kDone) continue;
    }
    if (reader_->state() == RequestReader::State::kDone) break;
    const bool came = co_await read_more();
    if (!came) co_return false;
  }
  deadline_ = Clock::time_point::max();
  reading_ = false;
  co_return true;
}

/// The head is complete: what can be refused now is, before the body is asked for.
Session::Awaitable<bool> Session::take_head() {
  head_taken_ = true;
  deadline_ = Clock::now() + service_.options().limits.body_timeout;
  const HttpRequest& head = reader_->head();
  reader_->set_client(api_.client_of(head));
  refusal_ = api_.check(head, door_);
  if (refusal_ &&
      (head.chunked || head.expects_continue || head.content_length.value_or(0) > kShortBody)) {
    co_await refuse(*refusal_);
    co_return false;
  }
  const bool waits = head.expects_continue && reader_->state() == RequestReader::State::kBody &&
                     input_.size() == 0;
  bool written = true;
  if (waits) written = co_await write(kContinue);
  co_return written;
}

Session::Awaitable<bool> Session::read_more() {
  const auto space = input_.prepare(kReadBytes);
  const auto [error, count] = co_await connection_.read_some(space);
  input_.commit(count);
  if (!error) co_return true;
  if (timed_out_ && connection_.is_open()) co_await read_failed();
  co_return false;
}

/// The request did not come in time. A connection on which nothing was asked just closes.
Session::Awaitable<> Session::read_failed() {
  if (!busy_) co_return;
  const std::string part = head_taken_ ? "body" : "head";
  const ApiError error =
      bad_http(408, "request_timeout", "The request's " + part + " did not come in time.");
  co_await refuse(error);
}

Session::Awaitable<> Session::answer() {
  request_ = reader_->take();
  bytes_sent_ = 0;
  status_ = 0;
  client_left_ = false;
  request_.id = request_id(request_);
  request_.received = Clock::now();
  if (refusal_) {
    const HttpResponse response = error_response(*refusal_);
    co_await respond(response);
    record();
    co_return;
  }
  Reply reply = co_await handle();
  if (reply.generation == nullptr) {
    co_await respond(reply.response);
    record();
  } else {
    generation_ = std::move(reply.generation);
    set_deadline();
    co_await generate();
    record();
    generation_.reset();
  }
}

/// For the access log and traces.
void Session::record() {
  if (!service_.records()) return;
  const auto took = Clock::now() - request_.received;
  RequestRecord record{
      .arrived = std::chrono::system_clock::now() -
                 std::chrono::duration_cast<std::chrono::system_clock::duration>(took),
      .seconds = std::chrono::duration<double>(took).count(),
      .id = request_.id,
      .key = request_.client ? request_.client->key().name : "",
      .peer = connection_.peer(),
      .method = request_.method,
      .path = request_.path,
      .route = std::string(Api::route_of(request_.path)),
      .status = status_,
      .bytes = bytes_sent_,
      .client_left = client_left_,
      .generated = generation_ != nullptr,
      .trace = trace_of(request_)};
  if (generation_) record.generation = generation_->record();
  service_.record(std::move(record));
}

/// The request's own limit, but no more than the server's.
void Session::set_deadline() {
  const auto most = service_.options().request_timeout;
  auto timeout = requested_timeout(request_).value_or(most);
  if (most.count() > 0) timeout = std::min(timeout, most);
  if (timeout.count() > 0) generation_->set_deadline(request_.received + timeout);
}

Session::Awaitable<Reply> Session::handle() {
  if (!api_.is_heavy(request_)) co_return api_.handle(request_);
  const auto executor = connection_.executor();
  co_await asio::post(asio::bind_executor(workers_.get_executor(), asio::use_awaitable));
  Reply reply = api_.handle(request_);
  co_await asio::post(asio::bind_executor(executor, asio::use_awaitable));
  co_return reply;
}

bool Session::will_close(const HttpResponse& response) const {
  return closing_ || response.close || !request_.keep_alive || service_.draining();
}

Session::Awaitable<> Session::respond(const HttpResponse& response) {
  closing_ = will_close(response);
  HttpResponse full = response;
  for (Field& field : api_.common_fields(request_)) full.fields.push_back(std::move(field));
  std::string wire = response_head(full, request_, closing_, full.body.size());
  if (request_.method != "HEAD") wire += full.body;
  status_ = response.status;
  api_.count(request_, response.status);
  if (response.status == 500) log_error("request " + request_.id + ": " + response.body);
  co_await write(wire);
}

/// An error after which the connection closes, whatever of the request is still to come.
Session::Awaitable<> Session::refuse(const ApiError& error) {
  unread_input_ = true;
  closing_ = true;
  request_ = reader_->head();
  request_.id = request_id(request_);
  request_.received = Clock::now();
  bytes_sent_ = 0;
  const HttpResponse response = error_response(error);
  co_await respond(response);
  record();
}

Session::Awaitable<> Session::generate() {
  client_left_ = false;
  head_sent_ = false;
  generation_->start([weak = weak_from_this(), executor = connection_.executor()] {
    asio::post(executor, [weak] {
      if (const auto self = weak.lock()) self->wake();
    });
  });
  start_watch();
  if (generation_->streams()) {
    co_await stream();
  } else {
    co_await answer_whole();
  }
  co_await stop_watch();
  if (client_left_) closing_ = true;
}

Session::Awaitable<> Session::answer_whole() {
  std::string unused;
  auto progress = generation_->pull(unused);
  while (progress == Generation::Progress::kWaiting && !client_left_) {
    co_await wait_for_wake(generation_->deadline());
    progress = generation_->pull(unused);
  }
  if (client_left_) co_return;
  HttpResponse response;
  if (progress == Generation::Progress::kDone) {
    response.body = generation_->whole();
  } else {
    response = error_response(generation_->error());
  }
  co_await respond(response);
}

Session::Awaitable<> Session::stream() {
  std::string events;
  auto last_write = Clock::now();
  while (!client_left_) {
    const auto progress = generation_->pull(events);
    const bool over = progress != Generation::Progress::kWaiting;
    if (progress == Generation::Progress::kFailed) {
      // Nothing was sent yet, so the failure can still be a status.
      if (!head_sent_) {
        const HttpResponse response = error_response(generation_->error());
        co_await respond(response);
        co_return;
      }
      events += generation_->format().error(generation_->error());
    }
    const auto now = Clock::now();
    const auto interval = service_.options().keep_alive_interval;
    if (events.empty() && !over && now - last_write >= interval) {
      events = generation_->format().keep_alive();
    }
    if (over || !events.empty()) {
      const bool sent = co_await send_events(events, over);
      if (!sent) co_return;
      last_write = now;
    }
    if (over) co_return;
    co_await wait_for_wake(std::min(last_write + interval, generation_->deadline()));
  }
}

/// One write for all that is there: the head if it is still to come, events, and the end.
Session::Awaitable<bool> Session::send_events(std::string& events, bool last) {
  std::string wire;
  if (!head_sent_) {
    HttpResponse response = stream_response();
    response.content_type = generation_->format().stream_type();
    closing_ = will_close(response) || request_.http_1_0;
    for (Field& field : api_.common_fields(request_)) response.fields.push_back(std::move(field));
    wire = response_head(response, request_, closing_, std::nullopt);
    status_ = response.status;
    api_.count(request_, response.status);
    head_sent_ = true;
  }
  if (request_.http_1_0) {
    wire += events;
  } else {
    if (!events.empty()) append_chunk(wire, events);
    if (last) wire += "0\r\n\r\n";
  }
  events.clear();
  const bool written = co_await write(wire);
  co_return written;
}

Session::Awaitable<> Session::wait_for_wake(Clock::time_point until) {
  if (!woken_) {
    signal_.expires_at(until);
    co_await signal_.async_wait(kToken);
  }
  woken_ = false;
}

void Session::wake() {
  woken_ = true;
  signal_.cancel();
}

/// False when the client is gone or takes nothing.
Session::Awaitable<bool> Session::write(std::string_view bytes) {
  while (!bytes.empty()) {
    deadline_ = Clock::now() + service_.options().limits.write_timeout;
    const auto piece = asio::buffer(bytes.data(), bytes.size());
    const auto [error, count] = co_await connection_.write_some(piece);
    if (error) {
      client_left_ = true;
      cut();
      co_return false;
    }
    bytes.remove_prefix(count);
    bytes_sent_ += count;
  }
  deadline_ = Clock::time_point::max();
  co_return true;
}

/// Waits until the client's kernel has all of the answer. The process may end right behind it, and
/// a pod's network with it.
Session::Awaitable<> Session::deliver() {
  const auto until = Clock::now() + kLinger;
  while (connection_.unacknowledged() > 0 && Clock::now() < until) {
    signal_.expires_after(std::chrono::milliseconds(5));
    co_await signal_.async_wait(kToken);
  }
}

/// Closing while the client still sends would make its kernel throw our answer away.
Session::Awaitable<> Session::linger() {
  connection_.shutdown_send();
  const auto until = Clock::now() + kLinger;
  deadline_ = until;
  input_.clear();
  while (Clock::now() < until) {
    const auto space = input_.prepare(kReadBytes);
    const auto [error, count] = co_await connection_.read_some(space);
    if (error) co_return;
  }
}

void Session::start_watch() {
  watching_ = true;
  asio::co_spawn(connection_.executor(), watch(),
                 asio::bind_cancellation_slot(
                     stop_watching_.slot(), [self = shared_from_this()](const std::exception_ptr&) {
                       self->watching_ = false;
                       self->wake();
                     }));
}

/// While an answer is made nobody reads: this does, to see the client go.
Session::Awaitable<> Session::watch() {
  while (input_.size() < kPipelinedBytes) {
    const auto space = input_.prepare(4096);
    const auto [error, count] = co_await connection_.read_some(space);
    input_.commit(count);
    if (!error) continue;
    if (error != asio::error::operation_aborted) {
      client_left_ = true;
      wake();
    }
    co_return;
  }
}

Session::Awaitable<> Session::stop_watch() {
  while (watching_) {
    stop_watching_.emit(asio::cancellation_type::terminal);
    co_await wait_for_wake(Clock::time_point::max());
  }
}

}  // namespace bundle::server
