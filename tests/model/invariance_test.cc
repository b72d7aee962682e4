// What a sequence gets depends on its own tokens alone: not on how its prompt was cut, who else is
// in the step, or where its blocks lie.
#include <algorithm>
#include <gtest/gtest.h>
#include <random>

#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

/// Tokens that are the same every run.
std::vector<std::int32_t> random_tokens(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> tokens(count);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random() % 512);
  return tokens;
}

class InvarianceTest : public testing::TestWithParam<std::tuple<std::string, TestDevice, DType>> {
 protected:
  InvarianceTest() {
    golden::make_checkpoint(load_golden(std::get<0>(GetParam())), folder_.path()).value();
    runner_ = std::make_unique<ModelRunner>(folder_.path(), std::get<1>(GetParam()),
                                            std::get<2>(GetParam()), 96);
  }

  golden::TempFolder folder_;
  std::unique_ptr<ModelRunner> runner_;
};

TEST_P(InvarianceTest, ChunkedPrefillEqualsOneShot) {
  const auto tokens = random_tokens(150, 1);
  const auto whole = runner_->run(tokens, 0, 150);
  for (const std::size_t size : {1u, 7u, 16u, 33u, 64u, 149u}) {
    std::vector<float> pieces;
    for (std::size_t at = 0; at < tokens.size(); at += size) {
      const auto piece = std::span(tokens).subspan(at, std::min(size, tokens.size() - at));
      const auto logits = runner_->run(piece, static_cast<std::int64_t>(at),
                                       static_cast<std::int64_t>(piece.size()));
      pieces.insert(pieces.end(), logits.begin(), logits.end());
    }
    EXPECT_EQ(whole, pieces) << "in pieces of " << size;
  }
}

// Latent attention changes its form within this prompt, and again where the output begins.
TEST_P(InvarianceTest, CutsAcrossAPromptsTilesDoNotShow) {
  const auto tokens = random_tokens(kPromptTile + 60, 1);
  runner_->set_prompt(kPromptTile + 30);
  const auto whole = runner_->run(tokens, 0, 80);
  for (const std::size_t size : {1u, 100u, 250u}) {
    std::vector<float> pieces;
    for (std::size_t at = 0; at < tokens.size(); at += size) {
      const auto piece = std::span(tokens).subspan(at, std::min(size, tokens.size() - at));
      const auto logits = runner_->run(piece, static_cast<std::int64_t>(at),
                                       static_cast<std::int64_t>(piece.size()));
      pieces.insert(pieces.end(), logits.begin(), logits.end());
    }
    ASSERT_GE(pieces.size(), whole.size());
    EXPECT_TRUE(
        std::equal(whole.begin(), whole.end(), pieces.end() - static_cast<long>(whole.size())))
        << "in pieces of " << size;
  }
}

TEST_P(InvarianceTest, LogitsOfTheLastRowsEqualThoseOfAllRows) {
  const auto tokens = random_tokens(50, 2);
  const auto all = runner_->run(tokens, 0, 50);
  for (const std::int64_t rows : {1, 2, 17, 49}) {
    const auto last = runner_->run(tokens, 0, rows);
    const auto count = static_cast<std::size_t>(rows * runner_->vocab_size());
    EXPECT_TRUE(std::equal(last.begin(), last.end(), all.end() - static_cast<long>(count))) << rows;
  }
  EXPECT_TRUE(runner_->run(tokens, 0, 0).empty());
}

TEST_P(InvarianceTest, CompanyDoesNotMatter) {
  // Eight sequences of different lengths, decoding and prefilling in the same step.
  std::vector<std::vector<std::int32_t>> prompts, tables;
  for (unsigned i = 0; i < 8; ++i) {
    prompts.push_back(random_tokens(i % 2 == 0 ? 1 + 5 * i : 60 + i, 10 + i));
    std::vector<std::int32_t> table(10);
    for (int b = 0; b < 10; ++b) table[b] = static_cast<std::int32_t>(8 * b + 7 - i);
    tables.push_back(table);
  }
  std::vector<float> alone;
  for (const auto& tokens : prompts) {
    const auto logits = runner_->run(tokens, 0, 1);
    alone.insert(alone.end(), logits.begin(), logits.end());
  }
  std::vector<SequenceChunk> heads, tails;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const std::span<const std::int32_t> tokens(prompts[i]);
    const std::size_t cut = i % 2 == 0 ? tokens.size() - 1 : tokens.size() / 2;
    if (cut > 0) heads.push_back({tokens.first(cut), 0, tables[i], 0});
    tails.push_back({tokens.subspan(cut), static_cast<std::int64_t>(cut), tables[i], 1});
  }
  EXPECT_TRUE(runner_->step(heads).empty());
  EXPECT_EQ(runner_->step(tails), alone);
}

TEST_P(InvarianceTest, ChunksWithoutLogitsDoNotShiftTheOthers) {
  const auto a = random_tokens(20, 3), b = random_tokens(30, 4), c = random_tokens(10, 5);
  std::vector<std::int32_t> blocks_a{1, 2}, blocks_b{3, 4}, blocks_c{5};
  const SequenceChunk chunks[] = {{a, 0, blocks_a, 0}, {b, 0, blocks_b, 2}, {c, 0, blocks_c, 1}};
  const auto together = runner_->step(chunks);
  auto apart = runner_->run(b, 0, 2);
  const auto last = runner_->run(c, 0, 1);
  apart.insert(apart.end(), last.begin(), last.end());
  EXPECT_EQ(together, apart);
}

TEST_P(InvarianceTest, AnyBlockTableGivesTheSame) {
  const auto tokens = random_tokens(100, 6);
  const auto plain = runner_->run(tokens, 0, 100);
  std::vector<std::int32_t> table = runner_->blocks();
  std::mt19937 random(7);
  for (int round = 0; round < 3; ++round) {
    std::shuffle(table.begin(), table.end(), random);
    const SequenceChunk chunk{tokens, 0, table, 100};
    EXPECT_EQ(runner_->step({&chunk, 1}), plain);
  }
}

TEST_P(InvarianceTest, StaleCacheContentIsNotSeen) {
  const auto tokens = random_tokens(40, 8);
  const auto fresh = runner_->run(tokens, 0, 40);
  runner_->run(random_tokens(200, 9), 0, 0);
  EXPECT_EQ(runner_->run(tokens, 0, 40), fresh);
}

std::string name_of(const testing::TestParamInfo<InvarianceTest::ParamType>& test) {
  return std::get<0>(test.param) + "_" + std::get<1>(test.param).name + "_" +
         std::string(dtype_info(std::get<2>(test.param)).name);
}

INSTANTIATE_TEST_SUITE_P(
    All, InvarianceTest,
    testing::Combine(testing::Values("llama_tied", "qwen2_bias", "qwen3_qknorm"),
                     testing::ValuesIn(test_devices()),
                     testing::Values(DType::kF32, DType::kF16, DType::kBF16, DType::kI8)),
    name_of);

/// The devices that serve: the reference takes minutes for these.
std::vector<TestDevice> fast_devices() {
  std::vector<TestDevice> devices = test_devices();
  std::erase_if(devices, [](const TestDevice& device) { return device.name == "reference"; });
  return devices;
}

INSTANTIATE_TEST_SUITE_P(Experts, InvarianceTest,
                         testing::Combine(testing::Values("qwen3_moe", "deepseek_v3_fp8"),
                                          testing::ValuesIn(fast_devices()),
                                          testing::Values(DType::kF16, DType::kF8E4M3, DType::kI8)),
                         name_of);

}  // namespace
}  // namespace bundle::model
