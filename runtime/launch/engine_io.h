// The thread behind an EngineProcess. It alone starts the process, talks to it, hears it die, and
// calls listeners; other threads leave orders for it.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

#include "runtime/engine/wire.h"
#include "runtime/launch/engine_board.h"
#include "runtime/launch/engine_child.h"
#include "runtime/launch/engine_process.h"
#include "runtime/launch/flights.h"

namespace bundle::launch {

class EngineProcess::Io {
 public:
  explicit Io(EngineProcessOptions options);
  ~Io();

  struct Submission {
    engine::Request request;
    OnEvent on_event;
  };
  struct Abort {
    std::uint64_t id;
  };
  using Order = std::variant<Submission, Abort>;

  /// Any thread.
  void post(Order order);
  const EngineBoard& board() const { return board_; }

 private:
  using Clock = std::chrono::steady_clock;

  /// Processes that were started, from their start to their death: the one that answers, and those
  /// that share the model with it.
  struct Running {
    EngineChild child;
    std::vector<EngineChild> others;
    std::shared_ptr<Channel> channel;
    engine::wire::FrameReader frames;
    std::string outgoing;  // frames that the ring had no room for yet
    std::size_t sent = 0;  // of outgoing
    bool ready = false;
    bool broken = false;                // it sent nonsense and was killed for it
    bool answered = false;              // it finished a request
    bool released = false;              // its group has ended as it should
    std::optional<Error> failure = {};  // what it said before it ended
    std::uint64_t heartbeat = 0;
    Clock::time_point last_beat = {};
    Clock::time_point ready_at = {};
  };

  void loop();
  void start_engine();
  Result<Running> spawn() const;
  bool take_orders();
  void carry_out(Submission& submission);
  void carry_out(const Abort& abort);
  void send(std::string frame);
  void send_waiting();
  bool write_out();
  bool read_in();
  void handle(const engine::wire::Frame& frame);
  void became_ready();
  void break_off(const Error& error);
  void engine_died();
  void hear_last_words();
  std::string reap_all(Running& dead) const;
  bool is_final(const Running& dead) const;
  void plan_restart(const Running& dead, const std::string& how);
  void give_up(Error error);
  void check_pulse();
  void sleep();
  std::optional<std::chrono::milliseconds> nap() const;
  void end_engine();
  void changed() const;

  EngineProcessOptions options_;
  EngineBoard board_;
  Fd wake_;  // an eventfd: orders have come

  std::mutex mutex_;
  std::vector<Order> orders_;
  bool stopping_ = false;

  // Of the thread.
  std::optional<Running> running_;
  std::optional<Clock::time_point> next_start_;
  Flights flights_;
  int starts_ = 0;
  int quick_deaths_ = 0;
  bool was_ready_ = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace bundle::launch
