// A model whose logits are a function of every token it finds through the block table: a wrong
// block, a stale prefix or a missing position changes all that follows.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "runtime/engine/engine.h"

namespace bundle::engine {

struct FakeConfig {
  std::int64_t vocab_size = 48;
  std::int64_t max_positions = 256;
  std::int64_t hidden_size = 6;  // 0: it gives no states
  std::vector<std::int32_t> eos_ids = {0};
  /// Called at each step with its chunks, before it runs.
  std::function<void(std::span<const model::SequenceChunk>)> on_step = {};
  /// Logits are not numbers after this token.
  std::int32_t poison = -1;
  /// It gives tokens where nothing else is asked for.
  bool chooses = false;
  /// Its prediction layer guesses what the model will say, but every so many times (0: never).
  int wrong_drafts = 3;
  /// Caches that it keeps, a group of sequences in each (data-parallel attention).
  std::int64_t groups = 1;
};

std::unique_ptr<model::Model> make_fake_model(const FakeConfig& config);
/// Makes caches for the fake model; nothing else.
std::unique_ptr<kernels::Device> make_fake_device();

/// What its hidden states are after `tokens`, of that many numbers.
std::vector<float> fake_states(std::span<const std::int32_t> tokens, std::int64_t hidden_size);

/// Logits after `tokens`.
std::vector<float> fake_logits(std::span<const std::int32_t> tokens, std::int64_t vocab_size);

/// What a request yields, computed alone and from scratch at every token.
struct Outcome {
  std::vector<std::int32_t> tokens;
  std::vector<ScoredToken> logprobs;
  std::vector<ScoredToken> prompt_logprobs;
  FinishReason finish = FinishReason::kNone;
  std::int32_t stop_token = -1;
};
Outcome run_alone(const Request& request, const FakeConfig& config, std::int64_t max_context);

bool operator==(const TokenLogprob& a, const TokenLogprob& b);
bool operator==(const ScoredToken& a, const ScoredToken& b);

/// Adds an event to what came before it.
void add_event(Outcome& outcome, const Event& event);

}  // namespace bundle::engine
