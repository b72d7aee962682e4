// Continuous batching over one model: submit requests, take steps, get events.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/engine/constraint.h"
#include "runtime/engine/request.h"
#include "runtime/model/model.h"

namespace bundle::engine {

/// Who guesses tokens ahead, which the next step then checks beside its own: several tokens a step
/// where the guesses are right, and the same output, bit for bit, as without.
enum class Speculation : std::uint8_t {
  kOff,
  kLookup,  // what followed the last tokens earlier in the sequence
  kModel,   // the model's prediction layer (MTP), one token
};

struct EngineOptions {
  std::int64_t max_context = 0;  // tokens of prompt and output; 0: the model's own
  std::int64_t kv_tokens = 0;    // positions of cache in all; 0: planned from free memory
  std::int64_t block_tokens = 16;
  std::int64_t max_sequences = 64;     // running at once
  std::int64_t max_step_tokens = 512;  // budget of one step over prefill chunks and decodes
  DType kv_type = DType::kF16;
  bool prefix_cache = true;
  Speculation speculation = Speculation::kOff;
  std::int64_t draft_tokens = 4;  // most guesses a step with kLookup
  std::uint64_t seed = 0;         // of requests without one; 0: from the system
  /// Processes of this machine that take as much memory for a cache as this one.
  std::int64_t ranks = 1;
  /// Bytes of weights that stay in the page cache: planning leaves them room.
  std::uint64_t mapped_weight_bytes = 0;
  /// Null: requests with a constraint are refused.
  std::shared_ptr<ConstraintCompiler> constraints = {};
};

/// Scheduler, paged cache with automatic prefix reuse, and sampler. Not thread-safe: one thread
/// submits, aborts and steps. Results of a request depend on its own fields alone, bit for bit.
class Engine {
 public:
  /// The device must outlive the engine. kFailed when the cache does not fit in memory, kUsage when
  /// the options contradict the model.
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<model::Model> model,
                                                kernels::Device& device,
                                                const EngineOptions& options);
  virtual ~Engine() = default;

  /// Queues a request. An id in flight, an empty or too long prompt, a token id outside the
  /// vocabulary, or a parameter out of its range is answered by an event with kError at the next
  /// step. An output that reaches max_context ends with kLength.
  virtual void submit(Request request) = 0;
  /// Frees the request's blocks before the next step; an event with kAborted follows. Unknown ids
  /// are ignored.
  virtual void abort(std::uint64_t id) = 0;

  /// Runs one step and appends what came of it. False when there was nothing to do.
  virtual bool step(std::vector<Event>& events) = 0;
  virtual bool idle() const = 0;

  /// Why no step can be taken any more: a rank that shares the model is gone. Events of the step
  /// that failed were not made.
  virtual Status health() const { return {}; }

  virtual EngineStats stats() const = 0;
  /// What is wrong between the cache's books and the sequences'; "" when nothing is. For tests.
  virtual std::string audit() const = 0;
  virtual const format::ModelConfig& config() const = 0;
};

}  // namespace bundle::engine
