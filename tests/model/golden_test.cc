// The reference implementation's answers, reproduced from published weights alone.
#include "tests/model/golden_fixture.h"

namespace bundle::model {
namespace {

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
    const auto output =
        runner_->greedy(prompt.tokens, std::min(prompt.greedy.size(), device_.most_steps));
    for (std::size_t i = 0; i < output.size(); ++i) {
      if (prompt.greedy_margin[i] < 2 * device_.tolerance) break;
      ASSERT_EQ(output[i], prompt.greedy[i])
          << "step " << i << " after " << prompt.tokens.size() << " tokens";
    }
  }
}

}  // namespace
}  // namespace bundle::model
