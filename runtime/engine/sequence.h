// One request on its way: its tokens, how many of them are in the cache, and where.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/engine/block_manager.h"
#include "runtime/engine/constraint.h"
#include "runtime/engine/request.h"
#include "runtime/engine/token_history.h"

namespace bundle::engine {

/// A sequence's place in every queue; the least goes first.
struct Place {
  std::int32_t priority = 0;
  std::uint64_t turn = 0;
  std::uint64_t arrival = 0;

  auto operator<=>(const Place&) const = default;
};

/// Only the engine and its scheduler change it.
struct Sequence {
  Request request;  // its prompt has moved to tokens
  std::uint64_t arrival = 0;
  std::chrono::steady_clock::time_point arrived_at = {};
  std::uint64_t seed = 0;
  std::vector<std::int32_t> end_ids;  // what ends it: the model's end tokens and stop_ids

  std::vector<std::int32_t> tokens;  // prompt, then output
  std::int64_t prompt_size = 0;
  std::int64_t computed = 0;         // so many positions, from the first, are in the cache
  std::vector<std::int32_t> drafts;  // guesses at what follows, for the next step to check
  BlockTable table;
  TokenHistory history;                           // kept when the request has penalties
  std::unique_ptr<ConstrainedOutput> constraint;  // null: none

  bool admitted = false;            // at least once
  float queued_seconds = 0;         // until then
  bool told = false;                // an event of it is out
  std::int32_t cached_tokens = 0;   // of the prompt, when it was first admitted
  std::vector<ScoredToken> scores;  // of prompt tokens 1 …, until the first event
  std::vector<double> pooled;       // sum of the hidden states of computed tokens that count

  Place place() const { return {request.priority, request.turn, arrival}; }
  std::int64_t size() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t outputs() const { return size() - prompt_size; }
  std::int64_t remaining() const { return size() - computed; }
  bool decoding() const { return remaining() == 1; }
  bool pools() const { return request.pooling != Pooling::kNone; }
  bool scores_prompt() const { return request.sampling.prompt_logprobs >= 0; }
  /// Prompt log-probabilities are still to be made.
  bool wants_scores() const {
    return scores_prompt() && !told && static_cast<std::int64_t>(scores.size()) + 1 < prompt_size;
  }
  /// Rows of the whole prompt are needed: none may come from the prefix cache.
  bool wants_all_rows() const { return wants_scores() || request.pooling == Pooling::kMean; }
};

}  // namespace bundle::engine
