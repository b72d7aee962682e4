// The reference implementation's answers, reproduced from published weights alone.
#include <gtest/gtest.h>
#include <tuple>

#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

class GoldenTest : public testing::TestWithParam<std::tuple<std::string, TestDevice>> {
 protected:
  void SetUp() override {
    const Status made = golden::make_checkpoint(golden_, folder_.path());
    ASSERT_TRUE(made.has_value()) << made.error().message();
    runner_ = std::make_unique<ModelRunner>(folder_.path(), device_);
  }

  golden::Golden golden_ = load_golden(std::get<0>(GetParam()));
  TestDevice device_ = std::get<1>(GetParam());
  golden::TempFolder folder_;
  std::unique_ptr<ModelRunner> runner_;
};

/// Top-1 may differ where two logits are nearer than twice what each may be off.
float near_tie(const TestDevice& device) { return std::max(1e-3f, 2 * device.tolerance); }

TEST_P(GoldenTest, GivesTheReferenceLogits) {
  for (const golden::Prompt& prompt : golden_.prompts) {
    const auto vocab = static_cast<std::size_t>(runner_->vocab_size());
    const auto rows = static_cast<std::int64_t>(prompt.tokens.size());
    runner_->set_prompt(rows);
    const std::vector<float> logits = runner_->run(prompt.tokens, 0, rows);
    ASSERT_EQ(logits.size(), prompt.tokens.size() * vocab);
    const std::span<const float> all(logits);
    EXPECT_LE(largest_difference(all.last(vocab), prompt.last), device_.tolerance)
        << rows << " tokens";
    double sum = 0.0;
    for (std::size_t i = 0; i < prompt.tokens.size(); ++i) {
      const auto row = all.subspan(i * vocab, vocab);
      if (prompt.margin[i] > near_tie(device_)) {
        EXPECT_EQ(argmax(row), prompt.argmax[i]) << "position " << i << " of " << rows;
      }
      if (i + 1 < prompt.tokens.size()) sum += log_probability(row, prompt.tokens[i + 1]);
    }
    if (prompt.logprob) {
      EXPECT_NEAR(sum / static_cast<double>(rows - 1), *prompt.logprob, device_.tolerance);
    }
  }
}

TEST_P(GoldenTest, ContinuesAsTheReferenceDoes) {
  for (const golden::Prompt& prompt : golden_.prompts) {
    const auto output = runner_->greedy(prompt.tokens, prompt.greedy.size());
    for (std::size_t i = 0; i < output.size(); ++i) {
      if (prompt.greedy_margin[i] < 2 * device_.tolerance) break;
      ASSERT_EQ(output[i], prompt.greedy[i])
          << "step " << i << " after " << prompt.tokens.size() << " tokens";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, GoldenTest,
    testing::Combine(testing::Values("llama_tied", "llama3_rope", "qwen2_bias", "qwen3_qknorm",
                                     "qwen3_moe", "mixtral", "deepseek_v2_lite", "deepseek_v3",
                                     "deepseek_v3_fp8", "deepseek_v3_mtp"),
                     testing::ValuesIn(test_devices())),
    [](const auto& test) { return std::get<0>(test.param) + "_" + std::get<1>(test.param).name; });

INSTANTIATE_TEST_SUITE_P(Cuda, GoldenTest,
                         testing::Combine(testing::Values("llama_tied", "llama3_rope", "qwen2_bias",
                                                          "qwen3_qknorm"),
                                          testing::Values(emulated_cuda())),
                         [](const auto& test) { return std::get<0>(test.param); });

INSTANTIATE_TEST_SUITE_P(CudaTensorCores, GoldenTest,
                         testing::Combine(testing::Values("llama_tied"),
                                          testing::Values(emulated_tensor_cores())),
                         [](const auto& test) { return std::get<0>(test.param); });

}  // namespace
}  // namespace bundle::model
