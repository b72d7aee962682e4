// One answer that the engine is working on: requests out, events in, bytes for the client out.
//
// An endpoint makes it, a session starts and pulls it. Events wait in a queue until they are
// pulled, so a reader that is slow costs memory only here, where it is counted, and whatever came
// between two pulls goes out in one piece.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/server/answer_format.h"
#include "runtime/server/event_queue.h"
#include "runtime/server/request_record.h"

namespace bundle::server {

/// What to generate. Choices of one prompt stand side by side: choice i answers prompt i / n.
struct GenerationPlan {
  GenerationParams params = {};
  std::vector<Prompt> prompts = {};
  std::int64_t keep = 0;     // the likeliest so many of a prompt's choices are the answer; 0: all
  bool prompt_only = false;  // max_tokens 0: the prompt is scored, nothing is generated
  bool preview = false;      // nothing runs: only what the prefix cache holds is asked for
  engine::Pooling pooling = engine::Pooling::kNone;  // embeddings instead of output
  std::int64_t at_once = 0;  // so many of its requests are with the engine at a time; 0: all
  std::unique_ptr<AnswerFormat> format = {};
  std::shared_ptr<const Model> model = {};
  Admission::Ticket ticket = {};
  std::chrono::steady_clock::time_point received = {};  // the request; latencies count from it
};

/// What a plan asks of the engine.
Demand demand_of(const GenerationPlan& plan);

/// Used by one thread at a time.
class Generation {
 public:
  enum class Progress {
    kWaiting,  // more will come
    kDone,     // a stream has its last event in the output; a whole answer is ready
    kFailed,   // error() says why; nothing more comes
  };

  /// The service must outlive it.
  Generation(Service& service, GenerationPlan plan);
  /// Aborts what still runs.
  ~Generation();

  /// Hands the requests to the engine. `wake` is called, on a thread of the engine's, when there is
  /// something to pull.
  void start(std::function<void()> wake);

  bool streams() const { return plan_.params.stream; }
  /// Takes in what has come. Of a stream, appends its events to `out`.
  Progress pull(std::string& out);
  /// After kDone, of an answer that is no stream.
  std::string whole();
  const ApiError& error() const { return *error_; }
  /// How the stream is written.
  const AnswerFormat& format() const { return *plan_.format; }

  /// From then on what is there is all: choices end with kDeadline, and a request without any token
  /// fails. The next pull after it sees to that.
  void set_deadline(std::chrono::steady_clock::time_point deadline) { deadline_ = deadline; }
  std::chrono::steady_clock::time_point deadline() const { return deadline_; }
  /// Ends it with this error at the next pull.
  void interrupt(ApiError error);
  /// For the access log and traces; whole when it is over.
  GenerationRecord record() const;
  /// About the bytes that wait to be pulled.
  std::size_t pending_bytes() const { return queue_->bytes(); }

 private:
  struct Slot;
  using Clock = std::chrono::steady_clock;

  engine::Request request_of(std::size_t index);
  void submit_more();
  void take(TimedEvent timed);
  void record(Slot& slot, const engine::Event& event, Clock::time_point at);
  void end_slot(Slot& slot, const char* reason);
  void expire();
  std::vector<std::size_t> kept() const;
  void write(std::size_t index, std::string& out);
  void finish(std::string& out);
  void fail(ApiError error);
  void abort_all();
  void record_request();
  std::int64_t prompt_tokens_of(const Slot& slot) const;
  Usage usage() const;

  Service& service_;
  GenerationPlan plan_;
  std::shared_ptr<EventQueue> queue_ = std::make_shared<EventQueue>();
  std::uint64_t first_id_ = 0;
  Clock::time_point started_;
  Clock::time_point submitted_ = {};
  std::vector<Slot> slots_;
  std::size_t running_ = 0;  // slots that have not ended, submitted or not
  std::size_t next_ = 0;     // slots before it were submitted
  Clock::time_point deadline_ = Clock::time_point::max();
  std::optional<ApiError> error_;
};

}  // namespace bundle::server
