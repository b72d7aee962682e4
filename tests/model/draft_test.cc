// The draft layer: the reference implementation's logits, whatever the cuts, and no trace of it in
// the model's own.
#include <gtest/gtest.h>

#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

constexpr std::int64_t kBlocks = 32;

class DraftTest : public testing::TestWithParam<TestDevice> {
 protected:
  DraftTest() {
    std::erase_if(golden_.prompts, [](const golden::Prompt& prompt) {
      return GetParam().most_tokens > 0 && prompt.tokens.size() > GetParam().most_tokens;
    });
    golden::make_checkpoint(golden_, folder_.path()).value();
    runner_ = std::make_unique<ModelRunner>(folder_.path(), GetParam(), DType::kF32, kBlocks,
                                            LoadOptions{.draft = true});
    Model& model = runner_->model();
    model.set_drafting(true);
    cache_ = runner_->device().make_kv_cache(model.kv_shape(DType::kF32, 16), kBlocks).value();
  }

  /// Runs the prompt in steps of `size` tokens, the draft layer behind each; the draft's logits
  /// after the last.
  std::vector<float> draft(const golden::Prompt& prompt, std::size_t size) {
    const auto prompt_size = static_cast<std::int64_t>(prompt.tokens.size());
    std::vector<std::int32_t> following(prompt.tokens.begin() + 1, prompt.tokens.end());
    following.push_back(prompt.greedy[0]);
    const std::span<const std::int32_t> tokens(prompt.tokens), next(following);
    const auto blocks = std::span(runner_->blocks()).first(kBlocks);
    std::vector<float> logits, drafted;
    for (std::size_t at = 0; at < tokens.size(); at += size) {
      const std::size_t count = std::min(size, tokens.size() - at);
      const auto position = static_cast<std::int64_t>(at);
      const SequenceChunk chunk{tokens.subspan(at, count), position, blocks, 0, prompt_size};
      runner_->model().forward({&chunk, 1}, *cache_, logits);
      const bool last = at + count == tokens.size();
      const DraftChunk rows{0, next.subspan(at, count), position, blocks, last, prompt_size};
      runner_->model().draft({&rows, 1}, *cache_, drafted);
    }
    return drafted;
  }

  golden::Golden golden_ = load_golden("deepseek_v3_mtp");
  golden::TempFolder folder_;
  std::unique_ptr<ModelRunner> runner_;
  std::unique_ptr<kernels::KvCache> cache_;
};

TEST_P(DraftTest, GivesTheReferenceLogits) {
  ASSERT_TRUE(runner_->model().can_draft());
  for (const golden::Prompt& prompt : golden_.prompts) {
    ASSERT_FALSE(prompt.mtp_last.empty());
    const auto drafted = draft(prompt, prompt.tokens.size());
    EXPECT_LE(largest_difference(drafted, prompt.mtp_last), GetParam().tolerance)
        << prompt.tokens.size() << " tokens";
  }
}

TEST_P(DraftTest, CutsChangeNoBit) {
  const golden::Prompt& prompt = golden_.prompts.back();
  const auto whole = draft(prompt, prompt.tokens.size());
  for (const std::size_t size : {7u, 100u}) EXPECT_EQ(draft(prompt, size), whole) << size;
}

TEST_P(DraftTest, LeavesTheModelsOwnLogitsAlone) {
  const golden::Prompt& prompt = golden_.prompts[2];
  const auto blocks = std::span(runner_->blocks()).first(kBlocks);
  for (const std::int64_t rows : {1, 5}) {
    const SequenceChunk chunk{prompt.tokens, 0, blocks, rows, 40};
    std::vector<float> logits;
    runner_->model().forward({&chunk, 1}, *cache_, logits);
    ModelRunner without(folder_.path(), GetParam());
    EXPECT_EQ(without.step({&chunk, 1}), logits);
  }
}

TEST_P(DraftTest, HasACacheLayerOfItsOwn) {
  EXPECT_EQ(cache_->shape().layers, 5);
  ModelRunner plain(folder_.path(), GetParam());
  EXPECT_EQ(plain.model().kv_shape(DType::kBF16, 16).layers, 4);
  EXPECT_FALSE(plain.model().can_draft());
}

INSTANTIATE_TEST_SUITE_P(All, DraftTest, testing::ValuesIn(test_devices()),
                         [](const auto& test) { return test.param.name; });
INSTANTIATE_TEST_SUITE_P(Cuda, DraftTest, testing::Values(emulated_cuda()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace bundle::model
