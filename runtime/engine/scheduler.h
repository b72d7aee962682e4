// Decides what the next step computes: first one token of every running sequence, then chunks of
// prompts by their places, then prompts that wait, all under a budget of tokens.
//
// A sequence that is let in gets blocks for all of its tokens, so that its prompt cannot stall
// half-way; only outputs ask for more. When blocks run out, the sequence whose place is last gives
// its own up and waits, at its old place in the queue, to be computed again. The first is never put
// out, so there is always progress.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "runtime/engine/block_groups.h"
#include "runtime/engine/sequence.h"

namespace bundle::engine {

/// One sequence's share of a step: its tokens at positions computed … computed + tokens - 1, with
/// logits (or hidden states, where the sequence pools) for the last `logits` of them. A decode may
/// have guesses to check: the sequence's drafts follow its token, each with logits of its own.
struct Chunk {
  Sequence* sequence = nullptr;
  std::int64_t tokens = 0;
  std::int64_t logits = 0;
  std::int64_t drafts = 0;
  bool chosen = false;  // the model gives tokens instead of the logits
};
using Batch = std::vector<Chunk>;

/// Bounds of one step, in tokens.
struct StepBudget {
  std::int64_t tokens = 0;       // decodes and prompts together
  std::int64_t prompt = 0;       // prompts alone, where nothing decodes beside them
  std::int64_t interleaved = 0;  // prompts alone, beside running streams
  std::int64_t logit_rows = 0;   // of one chunk
};

/// Does not own sequences. Not thread-safe.
class Scheduler {
 public:
  Scheduler(BlockGroups& blocks, std::int64_t max_sequences);

  /// Puts a sequence into the queue, by its place.
  void add(Sequence& sequence);
  /// Forgets a sequence, running or waiting, and frees its blocks.
  void remove(Sequence& sequence);

  /// Chunks of the next step, at most one a sequence; empty only when nothing runs or waits.
  Batch next(const StepBudget& budget);
  /// Tells that the chunks were computed, before outputs are added to their sequences.
  void commit(const Batch& batch);

  std::int64_t running() const { return static_cast<std::int64_t>(running_.size()); }
  std::int64_t waiting() const { return static_cast<std::int64_t>(waiting_.size()); }
  std::int64_t preemptions() const { return preemptions_; }

 private:
  void add_decodes(Batch& batch, std::int64_t budget);
  std::int64_t fit_drafts(Sequence& sequence, std::int64_t budget);
  void add_prompts(Batch& batch, std::int64_t& budget, std::int64_t logit_rows);
  void admit_waiting(Batch& batch, std::int64_t& budget, std::int64_t logit_rows);
  bool admit(Sequence& sequence);
  bool make_room(Sequence& sequence);
  Sequence& last_beside(const Sequence& sequence) const;
  void preempt(Sequence& sequence);
  bool prefix_in_flight(const Sequence& sequence) const;

  BlockGroups& blocks_;
  std::int64_t max_sequences_;
  std::vector<Sequence*> running_;  // by place
  std::map<Place, Sequence*> waiting_;
  std::int64_t preemptions_ = 0;
};

}  // namespace bundle::engine
