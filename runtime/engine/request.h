// What the engine is asked and what it answers: plain values, no JSON, no HTTP.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/engine/constraint.h"

namespace bundle::engine {

/// How tokens are chosen. Defaults are OpenAI's.
struct SamplingParams {
  double temperature = 1.0;  // 0: the most likely token, the lower id on a tie
  std::int32_t top_k = 0;    // 0: off
  double top_p = 1.0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;  // over prompt and output, as transformers does
  double frequency_penalty = 0.0;   // over output, as OpenAI does
  double presence_penalty = 0.0;
  std::vector<std::pair<std::int32_t, float>> logit_bias;
  std::optional<std::uint64_t> seed;  // none: the engine draws one
  std::int32_t max_tokens = 16;
  std::int32_t min_tokens = 0;
  bool ignore_eos = false;
  std::vector<std::int32_t> stop_ids;  // beside the model's own end tokens
  OutputConstraint constraint;         // empty: none
  /// Candidates to report beside the chosen token; -1: no log-probabilities at all. They are of
  /// the raw distribution, before temperature and filters.
  std::int32_t logprobs = -1;
  /// The same for prompt tokens; -1: none.
  std::int32_t prompt_logprobs = -1;
};

/// What a request is answered with instead of output: its prompt's hidden states behind the model's
/// last norm, as one vector.
enum class Pooling : std::uint8_t {
  kNone,  // output, as ever
  kLast,  // the last token's
  kMean,  // the mean over all tokens
};

struct Request {
  std::uint64_t id = 0;  // chosen by the caller, unique among those in flight
  std::vector<std::int32_t> prompt;
  SamplingParams sampling;
  std::uint64_t cache_salt = 0;  // prefixes are shared only between equal salts
  /// Who goes first: the lower priority, then the lower turn, then who came first.
  std::int32_t priority = 0;
  std::uint64_t turn = 0;
  /// So many of the prompt's last tokens are output that was heard already: the request goes on
  /// behind them as if it had never been interrupted.
  std::int32_t resumed = 0;
  /// Nothing runs: one event says how much of the prompt is cached, with kLength.
  bool preview = false;
  /// With another than kNone nothing is generated and `sampling` says nothing: one event has the
  /// embedding and kStop.
  Pooling pooling = Pooling::kNone;
};

/// kRefused: what was asked for cannot be, and Event::error says why. kDeadline never comes from an
/// engine: servers end answers with it whose time is over.
enum class FinishReason : std::uint8_t {
  kNone,
  kStop,
  kLength,
  kAborted,
  kError,
  kRefused,
  kDeadline
};

struct TokenLogprob {
  std::int32_t token = 0;
  float logprob = 0.0f;   // natural logarithm
  std::int32_t rank = 0;  // 1 is the most likely
};

/// One token of a prompt or an output with its log-probability and the most likely candidates.
struct ScoredToken {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;
};

/// Progress of one request. Events of one request come in order; the last has a finish reason.
struct Event {
  std::uint64_t id = 0;
  std::vector<std::int32_t> tokens;          // new output tokens; an end token is not among them
  std::vector<ScoredToken> logprobs;         // one a token, when asked for
  std::vector<ScoredToken> prompt_logprobs;  // once, on the first event; prompt tokens 1 … n-1
  std::int32_t cached_tokens = 0;  // of the prompt, found in the prefix cache; first event
  float queued_seconds = 0;        // from submission until it was first let in; first event
  FinishReason finish = FinishReason::kNone;
  std::int32_t stop_token = -1;  // the id that ended it, when one did
  std::string error;             // with kError and kRefused
  std::vector<float> embedding;  // (hidden_size), not normalized; of a request that pools
};

/// What /metrics and autoscalers read.
struct EngineStats {
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  std::int64_t kv_blocks_total = 0;
  std::int64_t kv_blocks_used = 0;  // held by live sequences
  std::int64_t kv_block_tokens = 0;
  std::int64_t prompt_tokens = 0;  // counters since start
  std::int64_t generated_tokens = 0;
  std::int64_t prefix_queries = 0;  // tokens looked up in the prefix cache
  std::int64_t prefix_hits = 0;     // tokens found there
  std::int64_t preemptions = 0;
  std::int64_t steps = 0;
  std::int64_t max_context = 0;      // longest prompt + output that fits
  std::int64_t max_sequences = 0;    // that run at once
  std::int64_t drafts = 0;           // steps of a sequence that had guesses to check
  std::int64_t draft_tokens = 0;     // guesses checked
  std::int64_t accepted_tokens = 0;  // guesses that were right
};

}  // namespace bundle::engine
