#include "tests/engine/fake_model.h"

#include <algorithm>
#include <cstdlib>
#include <gtest/gtest.h>
#include <limits>
#include <map>

#include "runtime/engine/sampler.h"

namespace bundle::engine {
namespace {

constexpr std::int32_t kEmpty = -1;

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCD;
  x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53;
  return x ^ (x >> 33);
}

class FakeCache final : public kernels::KvCache {
 public:
  FakeCache(const kernels::KvShape& shape, std::int64_t blocks)
      : tokens(static_cast<std::size_t>(blocks * shape.block_tokens), kEmpty),
        shape_(shape),
        blocks_(blocks) {}
  const kernels::KvShape& shape() const override { return shape_; }
  std::int64_t num_blocks() const override { return blocks_; }

  std::int32_t& at(std::span<const std::int32_t> table, std::int64_t position) {
    const auto block = static_cast<std::size_t>(position / shape_.block_tokens);
    EXPECT_LT(block, table.size()) << "a position without a block";
    EXPECT_LT(table[block], blocks_);
    return tokens[static_cast<std::size_t>(table[block] * shape_.block_tokens +
                                           position % shape_.block_tokens)];
  }

  std::vector<std::int32_t> tokens;  // (blocks, block_tokens)

 private:
  kernels::KvShape shape_;
  std::int64_t blocks_;
};

class FakeModel final : public model::Model {
 public:
  explicit FakeModel(const FakeConfig& fake) : fake_(fake) {
    config_.architecture = "Fake";
    config_.vocab_size = fake.vocab_size;
    config_.max_positions = fake.max_positions;
    config_.hidden_size = fake.hidden_size;
    config_.eos_ids = fake.eos_ids;
  }
  const format::ModelConfig& config() const override { return config_; }
  kernels::KvShape kv_shape(DType type, std::int64_t block_tokens) const override {
    return {1, 1, 1, block_tokens, type};
  }
  std::uint64_t resident_bytes() const override { return 0; }

  void forward(std::span<const model::SequenceChunk> chunks, kernels::KvCache& cache,
               std::vector<float>& logits) override {
    if (fake_.on_step) fake_.on_step(chunks);
    // As on a real device: all of a step's keys are stored before any are read.
    step_tokens_.clear();
    for (const auto& chunk : chunks) {
      store(chunk, cache_of(chunk.group, cache));
      step_tokens_.insert(step_tokens_.end(), chunk.tokens.begin(), chunk.tokens.end());
    }
    logits.clear();
    states_.clear();
    chosen_.clear();
    for (const auto& chunk : chunks) {
      EXPECT_TRUE(chunk.choices.empty() ||
                  chunk.choices.size() == static_cast<std::size_t>(chunk.logits));
      std::vector<float> hidden;
      auto& rows = chunk.states ? states_ : chunk.choices.empty() ? logits : hidden;
      read(chunk, cache_of(chunk.group, cache), rows);
      for (std::size_t i = 0; i < chunk.choices.size(); ++i) {
        const auto width = static_cast<std::size_t>(config_.vocab_size);
        chosen_.push_back(choose(std::span(hidden).subspan(i * width, width), chunk.choices[i]));
      }
    }
  }

  bool gives_choices() const override { return fake_.chooses; }
  std::span<const std::int32_t> choices() const override { return chosen_; }

  bool gives_states() const override { return fake_.hidden_size > 0; }
  std::span<const float> states() const override { return states_; }
  std::int64_t cache_groups() const override { return fake_.groups; }

  bool can_draft() const override { return true; }
  void draft(std::span<const model::DraftChunk> chunks, kernels::KvCache& cache,
             std::vector<float>& logits) override {
    logits.clear();
    chosen_.clear();
    for (const auto& chunk : chunks) {
      FakeCache& fake_cache = cache_of(chunk.group, cache);
      const auto end = chunk.position + static_cast<std::int64_t>(chunk.following.size());
      std::vector<std::int32_t> seen;
      for (std::int64_t p = 0; p < end; ++p) seen.push_back(fake_cache.at(chunk.blocks, p));
      for (std::size_t i = 0; i < chunk.following.size(); ++i) {
        EXPECT_EQ(step_tokens_[static_cast<std::size_t>(chunk.first_row) + i],
                  seen[static_cast<std::size_t>(chunk.position) + i]);
      }
      seen.push_back(chunk.following.back());
      if (fake_.wrong_drafts > 0 && ++drafts_ % fake_.wrong_drafts == 0) seen.push_back(0);
      const auto row = fake_logits(seen, config_.vocab_size);
      if (!chunk.logits) continue;
      if (chunk.choice != nullptr) {
        chosen_.push_back(choose(row, *chunk.choice));
      } else {
        logits.insert(logits.end(), row.begin(), row.end());
      }
    }
  }

 private:
  /// Of the first group the engine's; the others' are what other ranks would have.
  FakeCache& cache_of(std::int64_t group, kernels::KvCache& cache) {
    EXPECT_LT(group, fake_.groups);
    if (group == 0) return dynamic_cast<FakeCache&>(cache);
    auto& other = others_[group];
    if (!other) other = std::make_unique<FakeCache>(cache.shape(), cache.num_blocks());
    return *other;
  }

  static void store(const model::SequenceChunk& chunk, FakeCache& cache) {
    for (std::size_t i = 0; i < chunk.tokens.size(); ++i) {
      cache.at(chunk.blocks, chunk.position + static_cast<std::int64_t>(i)) = chunk.tokens[i];
    }
  }

  void read(const model::SequenceChunk& chunk, FakeCache& cache, std::vector<float>& rows) const {
    const auto end = chunk.position + static_cast<std::int64_t>(chunk.tokens.size());
    std::vector<std::int32_t> seen;
    for (std::int64_t p = 0; p < end; ++p) {
      seen.push_back(cache.at(chunk.blocks, p));
      if (p < end - chunk.logits) continue;
      auto row = chunk.states ? fake_states(seen, config_.hidden_size)
                              : fake_logits(seen, config_.vocab_size);
      if (seen.back() == fake_.poison) row[1] = std::numeric_limits<float>::quiet_NaN();
      rows.insert(rows.end(), row.begin(), row.end());
    }
  }

  /// As a device does.
  static std::int32_t choose(std::span<const float> logits, const kernels::TokenChoice& choice) {
    if (!all_finite(logits)) return -1;
    LogitRow row;
    row.assign(logits);
    if (choice.temperature == 0.0) return row.argmax();
    SamplingParams params;
    params.temperature = choice.temperature;
    params.top_k = choice.top_k;
    params.top_p = choice.top_p;
    params.min_p = choice.min_p;
    Sampler sampler;
    return engine::draw(sampler.candidates(row, params), choice.uniform);
  }

  FakeConfig fake_;
  format::ModelConfig config_;
  std::vector<std::int32_t> step_tokens_;
  std::vector<float> states_;
  std::vector<std::int32_t> chosen_;
  std::map<std::int64_t, std::unique_ptr<FakeCache>> others_;
  int drafts_ = 0;
};

[[noreturn]] void not_faked() { std::abort(); }

class FakeDevice final : public kernels::Device {
 public:
  using Matrix = kernels::Matrix;
  using Tensor = kernels::Tensor;
  using Vector = kernels::Vector;
  using Slices = std::span<const kernels::Slice>;

  std::string_view name() const override { return "fake"; }
  Result<std::unique_ptr<kernels::KvCache>> make_kv_cache(const kernels::KvShape& shape,
                                                          std::int64_t blocks) override {
    return std::unique_ptr<kernels::KvCache>(std::make_unique<FakeCache>(shape, blocks));
  }
  Result<std::unique_ptr<Matrix>> pack(std::span<const kernels::WeightView>) override {
    return failed("not faked");
  }
  Result<std::unique_ptr<kernels::Experts>> pack_experts(
      std::span<const kernels::ExpertView>) override {
    return failed("not faked");
  }
  std::unique_ptr<kernels::Arena> make_arena() override { not_faked(); }
  void embed(const Matrix&, std::span<const std::int32_t>, Tensor) override { not_faked(); }
  void rms_norm(Tensor, Vector, float, Tensor) override { not_faked(); }
  void join_norms(Tensor, Vector, Tensor, Vector, float, std::span<const std::int64_t>,
                  Tensor) override {
    not_faked();
  }
  void matmul(const Matrix&, Tensor, const float*, bool, Tensor) override { not_faked(); }
  void norm_matmul(Tensor, Vector, float, const Matrix&, const float*, Tensor) override {
    not_faked();
  }
  void rope_and_store(Tensor, const kernels::AttentionShape&, const kernels::RopeTable&, Vector,
                      Vector, float, Slices, kernels::KvCache&, std::int64_t) override {
    not_faked();
  }
  void attention(Tensor, const kernels::AttentionShape&, Slices, const kernels::KvCache&,
                 std::int64_t, Tensor) override {
    not_faked();
  }
  void latent_rope_and_store(Tensor, Tensor, const kernels::LatentShape&, const kernels::RopeTable&,
                             Vector, float, Slices, kernels::KvCache&, std::int64_t) override {
    not_faked();
  }
  void latent_attention(Tensor, const kernels::LatentShape&, const kernels::LatentWeights&, Slices,
                        const kernels::KvCache&, std::int64_t, Tensor) override {
    not_faked();
  }
  void route(Tensor, const kernels::RouterShape&, const float*, kernels::Routing) override {
    not_faked();
  }
  void run_experts(const kernels::Experts&, Tensor, kernels::Routing, Tensor) override {
    not_faked();
  }
  void silu_mul(Tensor, Tensor) override { not_faked(); }
  void gather_rows(Tensor, std::span<const std::int64_t>, Tensor) override { not_faked(); }
  void read(Tensor, float*) override { not_faked(); }
};

std::vector<std::int32_t> end_ids(const Request& request, const FakeConfig& config) {
  std::vector<std::int32_t> ids = request.sampling.stop_ids;
  if (!request.sampling.ignore_eos) {
    ids.insert(ids.end(), config.eos_ids.begin(), config.eos_ids.end());
  }
  return ids;
}

}  // namespace

std::unique_ptr<model::Model> make_fake_model(const FakeConfig& config) {
  return std::make_unique<FakeModel>(config);
}

std::unique_ptr<kernels::Device> make_fake_device() { return std::make_unique<FakeDevice>(); }

std::vector<float> fake_states(std::span<const std::int32_t> tokens, std::int64_t hidden_size) {
  std::vector<float> row = fake_logits(tokens, hidden_size + 1);
  row.erase(row.begin());
  return row;
}

std::vector<float> fake_logits(std::span<const std::int32_t> tokens, std::int64_t vocab_size) {
  std::uint64_t hash = 1;
  for (const std::int32_t token : tokens) hash = mix(hash * 31 + static_cast<std::uint32_t>(token));
  std::vector<float> logits;
  for (std::int64_t i = 0; i < vocab_size; ++i) {
    const std::uint64_t bits = mix(hash + static_cast<std::uint64_t>(i) * 0x9E3779B97F4A7C15);
    logits.push_back(static_cast<float>(bits >> 40) * 0x1p-24f * 8.0f - 4.0f);
  }
  return logits;
}

Outcome run_alone(const Request& request, const FakeConfig& config, std::int64_t max_context) {
  Outcome outcome;
  Sampler sampler;
  TokenHistory history;
  const SamplingParams& params = request.sampling;
  const auto ends = end_ids(request, config);
  std::vector<std::int32_t> tokens = request.prompt;
  history.add_prompt(tokens);
  for (std::size_t i = 1; params.prompt_logprobs >= 0 && i < tokens.size(); ++i) {
    const auto row = fake_logits(std::span(tokens).first(i), config.vocab_size);
    outcome.prompt_logprobs.push_back(*sampler.score(row, tokens[i], params.prompt_logprobs));
  }
  while (outcome.finish == FinishReason::kNone) {
    const auto count = static_cast<std::int32_t>(outcome.tokens.size());
    if (count >= params.max_tokens || static_cast<std::int64_t>(tokens.size()) >= max_context) {
      outcome.finish = FinishReason::kLength;
      break;
    }
    const auto row = fake_logits(tokens, config.vocab_size);
    std::vector<std::int32_t> masked;
    if (count < params.min_tokens) masked = ends;
    const std::int32_t token = *sampler.choose(
        row, {params, history, masked, params.seed.value_or(0), static_cast<std::uint64_t>(count)});
    if (std::find(ends.begin(), ends.end(), token) != ends.end()) {
      outcome.finish = FinishReason::kStop;
      outcome.stop_token = token;
      break;
    }
    if (params.logprobs >= 0)
      outcome.logprobs.push_back(*sampler.score(row, token, params.logprobs));
    outcome.tokens.push_back(token);
    tokens.push_back(token);
    history.add_output(token);
  }
  return outcome;
}

bool operator==(const TokenLogprob& a, const TokenLogprob& b) {
  return a.token == b.token && a.logprob == b.logprob && a.rank == b.rank;
}

bool operator==(const ScoredToken& a, const ScoredToken& b) {
  return a.chosen == b.chosen && a.top == b.top;
}

void add_event(Outcome& outcome, const Event& event) {
  EXPECT_EQ(outcome.finish, FinishReason::kNone) << "an event after the last";
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(outcome.tokens, event.tokens);
  append(outcome.logprobs, event.logprobs);
  append(outcome.prompt_logprobs, event.prompt_logprobs);
  outcome.finish = event.finish;
  outcome.stop_token = event.stop_token;
}

}  // namespace bundle::engine
