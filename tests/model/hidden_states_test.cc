// Hidden states behind the last norm. The reference's logits decide what they are: the golden
// models' output matrices have more rows (512) than columns, so only one vector gives all of a
// row's logits.
#include <bit>
#include <gtest/gtest.h>

#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

/// The published output matrix, (vocabulary, hidden_size), as it is stored.
std::vector<float> output_matrix(const golden::Golden& golden) {
  const std::string wanted = golden.tied ? "model.embed_tokens.weight" : "lm_head.weight";
  for (const golden::TensorSpec& spec : golden.tensors) {
    if (spec.name != wanted) continue;
    std::vector<float> values = golden::tensor_values(golden, spec);
    for (float& value : values) {
      value = std::bit_cast<float>(std::uint32_t{golden::to_bf16(value)} << 16);
    }
    return values;
  }
  ADD_FAILURE() << wanted << " is not there";
  return {};
}

/// matrix · state, in float64.
std::vector<float> logits_of(std::span<const float> matrix, std::span<const float> state) {
  std::vector<float> out;
  for (std::size_t row = 0; row < matrix.size(); row += state.size()) {
    double sum = 0;
    for (std::size_t i = 0; i < state.size(); ++i)
      sum += double{matrix[row + i]} * double{state[i]};
    out.push_back(static_cast<float>(sum));
  }
  return out;
}

class HiddenStatesTest : public testing::TestWithParam<std::tuple<std::string, TestDevice>> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(golden::make_checkpoint(golden_, folder_.path()));
    runner_ = std::make_unique<ModelRunner>(folder_.path(), device_);
    width_ = static_cast<std::size_t>(runner_->model().config().hidden_size);
  }

  SequenceChunk chunk(std::span<const std::int32_t> tokens, std::int64_t rows, bool states) const {
    return {tokens, 0, runner_->blocks(), rows, static_cast<std::int64_t>(tokens.size()), states};
  }

  /// Of the last `rows` tokens of a prompt.
  std::vector<float> states_of(std::span<const std::int32_t> tokens, std::int64_t rows) {
    const SequenceChunk part = chunk(tokens, rows, true);
    EXPECT_TRUE(runner_->step({&part, 1}).empty());
    const auto states = runner_->model().states();
    return {states.begin(), states.end()};
  }

  golden::Golden golden_ = load_golden(std::get<0>(GetParam()));
  TestDevice device_ = std::get<1>(GetParam());
  golden::TempFolder folder_;
  std::unique_ptr<ModelRunner> runner_;
  std::size_t width_ = 0;
};

TEST_P(HiddenStatesTest, GiveTheReferenceLogits) {
  ASSERT_TRUE(runner_->model().gives_states());
  const std::vector<float> matrix = output_matrix(golden_);
  for (const golden::Prompt& prompt : golden_.prompts) {
    const std::vector<float> last = states_of(prompt.tokens, 1);
    ASSERT_EQ(last.size(), width_);
    EXPECT_LE(largest_difference(logits_of(matrix, last), prompt.last), device_.tolerance)
        << prompt.tokens.size() << " tokens";
  }
}

TEST_P(HiddenStatesTest, OfEveryPositionAreThoseOfThePromptThatEndsThere) {
  const auto tokens = std::span(golden_.prompts[2].tokens);
  const std::vector<float> all = states_of(tokens, static_cast<std::int64_t>(tokens.size()));
  ASSERT_EQ(all.size(), tokens.size() * width_);
  for (const std::size_t end : {1u, 5u, 39u}) {
    const auto row = std::span(all).subspan((end - 1) * width_, width_);
    EXPECT_EQ(std::vector(row.begin(), row.end()), states_of(tokens.first(end), 1)) << end;
  }
}

TEST_P(HiddenStatesTest, StandBesideLogitsOfOthers) {
  const auto& one = golden_.prompts[1].tokens;
  const auto& two = golden_.prompts[2].tokens;
  const auto states = states_of(one, 7);
  const SequenceChunk alone = chunk(two, 3, false);
  const auto logits = runner_->step({&alone, 1});
  EXPECT_TRUE(runner_->model().states().empty());
  std::vector<std::int32_t> other_blocks(runner_->blocks().begin() + 16, runner_->blocks().end());
  SequenceChunk beside = chunk(one, 7, true);
  beside.blocks = other_blocks;
  for (const bool first : {true, false}) {
    const SequenceChunk both[] = {first ? beside : alone, first ? alone : beside};
    EXPECT_EQ(runner_->step(both), logits);
    const auto got = runner_->model().states();
    EXPECT_EQ(std::vector(got.begin(), got.end()), states);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, HiddenStatesTest,
    testing::Combine(testing::Values("llama_tied", "qwen2_bias", "qwen3_moe", "deepseek_v3"),
                     testing::ValuesIn(test_devices())),
    [](const auto& test) { return std::get<0>(test.param) + "_" + std::get<1>(test.param).name; });

}  // namespace
}  // namespace bundle::model
