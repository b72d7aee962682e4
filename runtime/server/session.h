// One connection: reads requests, has them answered, writes what comes of it.
//
// Everything here runs on the server's one I/O thread; only parsing, rendering and tokenizing of
// requests are sent to a worker, and events of the engine come in by a posted wake().
#pragma once

#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include "runtime/server/api.h"
#include "runtime/server/connection.h"
#include "runtime/server/request_reader.h"

namespace bundle::server {

class Session : public std::enable_shared_from_this<Session> {
 public:
  using Clock = std::chrono::steady_clock;

  /// A null context: without TLS.
  Session(boost::asio::ip::tcp::socket socket, std::shared_ptr<TlsContext> tls, Service& service,
          const Api& api, boost::asio::thread_pool& workers, Door door);
  ~Session();

  /// Serves the connection until it ends; then gives itself up and calls `on_end`.
  void start(std::function<void(const std::shared_ptr<Session>&)> on_end);

  /// To be called often: enforces deadlines and the bound on unread output.
  void tick(Clock::time_point now);
  /// Closes it if nothing has been asked; else it closes after the answer.
  void drain();
  /// Since when it waits for the rest of a request, or for one at all; none while it answers.
  std::optional<Clock::time_point> waiting_since() const;
  Door door() const { return door_; }
  /// A request is being read or answered.
  bool busy() const { return busy_; }
  /// Busy, or its last answer is on its way, after drain().
  bool pending() { return busy_ || (closing_ && connection_.unacknowledged() > 0); }
  /// Ends a generation that is under way with this error.
  void interrupt(const ApiError& error);
  /// Closes the socket under whatever goes on.
  void cut();

 private:
  template <typename T = void>
  using Awaitable = boost::asio::awaitable<T>;

  Awaitable<> run();
  Awaitable<bool> read_request();
  Awaitable<bool> read_more();
  Awaitable<bool> take_head();
  Awaitable<> read_failed();
  Awaitable<> answer();
  Awaitable<Reply> handle();
  void set_deadline();
  void record();
  Awaitable<> respond(const HttpResponse& response);
  Awaitable<> refuse(const ApiError& error);
  Awaitable<> generate();
  Awaitable<> stream();
  Awaitable<> answer_whole();
  Awaitable<bool> send_events(std::string& events, bool last);
  Awaitable<> wait_for_wake(Clock::time_point until);
  Awaitable<bool> write(std::string_view bytes);
  Awaitable<> linger();
  Awaitable<> deliver();
  Awaitable<> watch();
  void start_watch();
  Awaitable<> stop_watch();
  void wake();
  bool will_close(const HttpResponse& response) const;

  Connection connection_;
  Service& service_;
  const Api& api_;
  boost::asio::thread_pool& workers_;
  const Door door_;
  boost::beast::flat_buffer input_;
  std::unique_ptr<RequestReader> reader_;
  HttpRequest request_;
  std::optional<ApiError> refusal_;  // of a request whose short body is still read
  std::unique_ptr<Generation> generation_;
  boost::asio::steady_timer signal_;
  boost::asio::cancellation_signal stop_watching_;
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point reading_since_ = Clock::now();
  bool reading_ = true;
  int status_ = 0;                // of the answer; 0: it was cut off before
  std::uint64_t bytes_sent_ = 0;  // of the answer
  bool timed_out_ = false;
  bool head_taken_ = false;
  bool busy_ = false;
  bool woken_ = false;
  bool watching_ = false;
  bool client_left_ = false;
  bool head_sent_ = false;
  bool closing_ = false;
  bool unread_input_ = false;  // the client may still be sending what nobody will read
};

}  // namespace bundle::server
