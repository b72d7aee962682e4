// Tokens that the CUDA backend chooses, on the emulator, are those that the sampler chooses from
// the same logits: so a seed gives the same text wherever it is drawn.
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <random>

#include "runtime/engine/engine.h"
#include "runtime/engine/sampler.h"
#include "runtime/kernels/cuda/cuda_device.h"
#include "runtime/kernels/cuda/emulator/emulated_driver.h"
#include "tests/engine/fake_model.h"
#include "tests/golden/golden_weights.h"
#include "tests/golden/temp_folder.h"

namespace bundle::engine {
namespace {

std::unique_ptr<kernels::Device> emulated_device() {
  return kernels::cuda::make_device(kernels::cuda::make_emulated_driver(), kernels::cuda::kOps,
                                    {.deterministic = true})
      .value();
}

SamplingParams random_params(std::mt19937& random) {
  const double temperatures[] = {0.0, 0.01, 0.6, 0.7, 1.0, 1.5, 10.0};
  const double top_ps[] = {1.0, 1.0, 0.0, 0.5, 0.9, 0.95, 0.999};
  const double min_ps[] = {0.0, 0.0, 0.0, 0.01, 0.1, 1.0};
  const std::int32_t top_ks[] = {0, 0, 0, 1, 5, 40, 2500, 100000};
  SamplingParams params;
  params.temperature = temperatures[random() % 7];
  params.top_p = top_ps[random() % 7];
  params.min_p = min_ps[random() % 6];
  params.top_k = top_ks[random() % 8];
  return params;
}

std::vector<float> random_logits(std::size_t size, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0f, 0.1f + static_cast<float>(random() % 60) / 10.0f);
  const bool ties = random() % 4 == 0;
  std::vector<float> logits(size);
  for (float& x : logits) x = ties ? static_cast<float>(random() % 5) : normal(random);
  return logits;
}

TEST(DeviceChoice, IsTheSamplersToTheToken) {
  std::mt19937 random(17);
  const auto device = emulated_device();
  const auto arena = device->make_arena();
  Sampler sampler;
  const TokenHistory history;
  for (const std::int64_t cols : {1, 50, 700, 3001, 9000}) {
    constexpr std::int64_t kRows = 40;
    ASSERT_TRUE(device->chooses(cols));
    std::vector<float> all;
    std::vector<kernels::TokenChoice> choices;
    std::vector<std::int32_t> expected;
    for (std::int64_t row = 0; row < kRows; ++row) {
      const auto logits = random_logits(static_cast<std::size_t>(cols), random);
      const SamplingParams params = random_params(random);
      const SampleContext context{params, history, {}, random(), random()};
      expected.push_back(*sampler.choose(logits, context));
      choices.push_back(choice_of(context));
      choices.back().row = row;
      all.insert(all.end(), logits.begin(), logits.end());
    }
    const auto placed = device->place(all).value();
    std::vector<std::int32_t> got(kRows);
    device->choose({const_cast<float*>(placed.data()), kRows, cols}, choices, got.data());
    ASSERT_TRUE(device->status());
    for (std::size_t i = 0; i < kRows; ++i) {
      const kernels::TokenChoice& c = choices[i];
      EXPECT_EQ(got[i], expected[i]) << "of " << cols << " T " << c.temperature << " k " << c.top_k
                                     << " p " << c.top_p << " min " << c.min_p;
    }
  }
}

/// A model whose logits are read, whatever its device could do.
class ReadModel final : public model::Model {
 public:
  explicit ReadModel(std::unique_ptr<model::Model> model) : model_(std::move(model)) {}
  const format::ModelConfig& config() const override { return model_->config(); }
  kernels::KvShape kv_shape(DType type, std::int64_t block_tokens) const override {
    return model_->kv_shape(type, block_tokens);
  }
  std::int64_t prompt_positions(std::int64_t prompt) const override {
    return model_->prompt_positions(prompt);
  }
  void forward(std::span<const model::SequenceChunk> chunks, kernels::KvCache& cache,
               std::vector<float>& logits) override {
    model_->forward(chunks, cache, logits);
  }
  Status health() const override { return model_->health(); }
  std::uint64_t resident_bytes() const override { return model_->resident_bytes(); }

 private:
  std::unique_ptr<model::Model> model_;
};

/// Some that want tokens alone, and some that want more.
std::vector<Request> mixed_requests(const golden::Golden& golden) {
  std::vector<Request> requests;
  for (std::uint64_t id = 0; id < 8; ++id) {
    Request r;
    r.id = id;
    const auto& tokens = golden.prompts[2 + id % 2].tokens;
    r.prompt.assign(tokens.begin(), tokens.begin() + 3 + static_cast<std::ptrdiff_t>(id));
    r.sampling.seed = 100 + id;
    r.sampling.temperature = id % 4 == 0 ? 0.0 : 0.8;
    r.sampling.top_k = id == 1 ? 20 : 0;
    r.sampling.top_p = id == 2 || id == 5 ? 0.9 : 1.0;
    r.sampling.logprobs = id == 3 || id == 4 ? 2 : -1;
    r.sampling.frequency_penalty = id == 5 ? 0.5 : 0.0;
    r.sampling.max_tokens = 4 + static_cast<std::int32_t>(id % 3);
    r.sampling.ignore_eos = true;
    requests.push_back(std::move(r));
  }
  return requests;
}

std::map<std::uint64_t, Outcome> outcomes_of(Engine& engine, const std::vector<Request>& requests) {
  for (const Request& r : requests) engine.submit(r);
  std::map<std::uint64_t, Outcome> outcomes;
  for (int steps = 0; !engine.idle() && steps < 1000; ++steps) {
    std::vector<Event> events;
    engine.step(events);
    EXPECT_TRUE(engine.health());
    for (const Event& event : events) add_event(outcomes[event.id], event);
  }
  return outcomes;
}

TEST(DeviceChoice, GivesAnEngineTheSameTextsAsReadLogits) {
  const golden::Golden golden =
      golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden/llama_tied")).value();
  const golden::TempFolder folder;
  golden::make_checkpoint(golden, folder.path()).value();
  const auto checkpoint =
      format::Checkpoint::open(format::ModelSource::open(folder.path()).value()).value();
  const EngineOptions options{.kv_tokens = 1024, .max_sequences = 5, .kv_type = DType::kF32};
  const std::vector<Request> requests = mixed_requests(golden);
  const auto run = [&](bool choose) {
    const auto device = emulated_device();
    auto model = model::load_model(checkpoint, *device).value();
    EXPECT_TRUE(model->gives_choices());
    if (!choose) model = std::make_unique<ReadModel>(std::move(model));
    return outcomes_of(*Engine::create(std::move(model), *device, options).value(), requests);
  };
  const auto expected = run(false);
  auto got = run(true);
  for (const Request& r : requests) {
    SCOPED_TRACE(r.id);
    EXPECT_EQ(got[r.id].tokens.size(), static_cast<std::size_t>(r.sampling.max_tokens));
    EXPECT_EQ(got[r.id].tokens, expected.at(r.id).tokens);
    EXPECT_TRUE(got[r.id].logprobs == expected.at(r.id).logprobs);
  }
}

}  // namespace
}  // namespace bundle::engine
