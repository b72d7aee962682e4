#include "runtime/model/perplexity.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

using testing::HasSubstr;

class PerplexityTest : public testing::Test {
 protected:
  PerplexityTest() {
    golden::make_checkpoint(golden_, folder_.path()).value();
    runner_ = std::make_unique<ModelRunner>(folder_.path(), test_devices().front());
  }

  double measure(std::span<const std::int32_t> tokens, const PerplexityOptions& options) {
    return perplexity(runner_->model(), runner_->device(), tokens, options).value();
  }

  const std::vector<std::int32_t>& tokens() const { return golden_.prompts.back().tokens; }

  golden::Golden golden_ = load_golden("llama_tied");
  golden::TempFolder folder_;
  std::unique_ptr<ModelRunner> runner_;
  PerplexityOptions exact_{.kv_type = DType::kF32};
};

TEST_F(PerplexityTest, MeanNllIsTheReferences) {
  for (const golden::Prompt& prompt : golden_.prompts) {
    if (!prompt.logprob) continue;
    const auto mean = mean_nll(runner_->model(), runner_->device(), prompt.tokens, exact_);
    EXPECT_NEAR(mean.value(), -*prompt.logprob, 1e-4);
  }
}

// By the definition, prediction by prediction.
TEST_F(PerplexityTest, CountsTheSecondHalfOfEachChunk) {
  exact_.context = 64;
  double sum = 0.0;
  int count = 0;
  for (std::size_t chunk = 0; chunk + 64 <= tokens().size(); chunk += 64) {
    const auto part = std::span(tokens()).subspan(chunk, 64);
    const auto logits = runner_->run(part, 0, 64);
    for (std::size_t i = 32; i < 63; ++i, ++count) {
      sum -= log_probability(std::span(logits).subspan(i * 512, 512), part[i + 1]);
    }
  }
  EXPECT_EQ(count, 4 * 31);
  EXPECT_NEAR(measure(tokens(), exact_), std::exp(sum / count), 1e-9 * std::exp(sum / count));
}

TEST_F(PerplexityTest, StepSizeChangesNothing) {
  exact_.context = 65;
  const double whole = measure(tokens(), exact_);
  for (const std::int64_t step : {1, 7, 32, 33, 1000}) {
    exact_.step_tokens = step;
    EXPECT_EQ(measure(tokens(), exact_), whole) << step;
  }
}

TEST_F(PerplexityTest, ReplacesTheFirstTokenOfEachChunk) {
  exact_.context = 100;
  exact_.bos = 0;
  std::vector<std::int32_t> replaced = tokens();
  for (std::size_t i = 0; i < replaced.size(); i += 100) replaced[i] = 0;
  const double with_bos = measure(tokens(), exact_);
  exact_.bos = -1;
  EXPECT_EQ(with_bos, measure(replaced, exact_));
  EXPECT_NE(with_bos, measure(tokens(), exact_));
}

TEST_F(PerplexityTest, RefusesWhatCannotBeMeasured) {
  const auto fails = [&](std::span<const std::int32_t> ids, std::int64_t context) {
    exact_.context = context;
    return perplexity(runner_->model(), runner_->device(), ids, exact_).error().message();
  };
  EXPECT_THAT(fails(std::span(tokens()).first(99), 100), HasSubstr("Give at least 100"));
  EXPECT_THAT(fails(tokens(), 1), HasSubstr("under two tokens"));
  std::vector<std::int32_t> wild = tokens();
  wild[5] = 512;
  EXPECT_THAT(fails(wild, 100), HasSubstr("token 512 is outside the vocabulary of 512"));
  wild[5] = -1;
  EXPECT_THAT(fails(wild, 100), HasSubstr("token -1"));
}

TEST_F(PerplexityTest, ProgressMayEndIt) {
  exact_.context = 50;
  int calls = 0;
  const Progress stop_at_two = [&](std::string_view, std::uint64_t, std::uint64_t) {
    return ++calls < 2;
  };
  const auto result =
      perplexity(runner_->model(), runner_->device(), tokens(), exact_, stop_at_two);
  EXPECT_EQ(result.error().code, ErrorCode::kInterrupted);
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace bundle::model
