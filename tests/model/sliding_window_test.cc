// Mistral's window: a position sees itself and window - 1 positions before it.
#include <gtest/gtest.h>
#include <numeric>

#include "tests/golden/temp_folder.h"
#include "tests/model/checkpoint_builder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

class SlidingWindowTest : public testing::TestWithParam<TestDevice> {
 protected:
  std::unique_ptr<ModelRunner> open(std::int64_t window, std::int64_t layers) {
    const golden::Golden golden = dense_golden(
        {.architecture = "MistralForCausalLM", .layers = layers, .sliding_window = window});
    golden::write_checkpoint(golden, folder_.path()).value();
    return std::make_unique<ModelRunner>(folder_.path(), GetParam());
  }

  golden::TempFolder folder_;
  std::vector<std::int32_t> tokens_ = [] {
    std::vector<std::int32_t> tokens(80);
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int>(i * 53 % 500);
    return tokens;
  }();
};

TEST_P(SlidingWindowTest, AWindowOfTheWholeTextChangesNothing) {
  const auto all = open(0, 3)->run(tokens_, 0, 80);
  EXPECT_EQ(open(80, 3)->run(tokens_, 0, 80), all);
  EXPECT_NE(open(79, 3)->run(tokens_, 0, 80), all);
}

// One layer deep nothing comes from before the window, and rotary positions count relatively.
TEST_P(SlidingWindowTest, OneLayerSeesTheWindowAlone) {
  const auto full = open(0, 1);
  for (const std::int64_t window : {1, 5, 16, 33}) {
    const auto windowed = open(window, 1)->run(tokens_, 0, 1);
    const auto last = std::span(tokens_).last(static_cast<std::size_t>(window));
    EXPECT_LE(largest_difference(windowed, full->run(last, 0, 1)), GetParam().tolerance) << window;
  }
}

TEST_P(SlidingWindowTest, DecodingEqualsPrefill) {
  const auto runner = open(7, 3);
  const auto whole = runner->run(tokens_, 0, 80);
  std::vector<float> steps;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const auto logits =
        runner->run(std::span(tokens_).subspan(i, 1), static_cast<std::int64_t>(i), 1);
    steps.insert(steps.end(), logits.begin(), logits.end());
  }
  EXPECT_EQ(steps, whole);
}

INSTANTIATE_TEST_SUITE_P(All, SlidingWindowTest, testing::ValuesIn(test_devices()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace bundle::model
