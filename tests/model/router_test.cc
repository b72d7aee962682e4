// How families weigh the experts they choose, told by the logits: DeepSeek-V2 normalizes or scales,
// DeepSeek-V3 does both.
#include <gtest/gtest.h>
#include <stdexcept>

#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

using Edits = std::vector<std::pair<std::string_view, std::string_view>>;

/// The last logits of a golden whose configuration has each first text replaced by the second.
std::vector<float> logits(const char* name, const Edits& edits) {
  golden::Golden golden = load_golden(name);
  for (const auto& [was, now] : edits) {
    const std::size_t at = golden.config_json.find(was);
    if (at == std::string::npos) throw std::out_of_range(std::string(was));
    golden.config_json.replace(at, was.size(), now);
  }
  const golden::TempFolder folder;
  golden::write_checkpoint(golden, folder.path()).value();
  ModelRunner runner(folder.path(), test_devices().front());
  const std::vector<std::int32_t>& tokens = golden.prompts.front().tokens;
  runner.set_prompt(static_cast<std::int64_t>(tokens.size()));
  return runner.run(tokens, 0, 1);
}

constexpr std::string_view kPlain = "\"norm_topk_prob\": false";
constexpr std::string_view kNormalized = "\"norm_topk_prob\": true";
constexpr std::string_view kFour = "\"num_experts_per_tok\": 4";
constexpr std::string_view kOne = "\"num_experts_per_tok\": 1";
constexpr std::string_view kUnscaled = "\"routed_scaling_factor\": 1.0";
constexpr std::string_view kScaled = "\"routed_scaling_factor\": 16.0";

TEST(Router, DeepseekV2NormalizesOrScales) {
  const char* const v2 = "deepseek_v2_lite";
  const auto plain = logits(v2, {});
  const auto normalized = logits(v2, {{kPlain, kNormalized}});
  const auto scaled = logits(v2, {{kUnscaled, kScaled}});
  EXPECT_NE(normalized, plain);
  EXPECT_NE(scaled, plain);
  EXPECT_EQ(logits(v2, {{kPlain, kNormalized}, {kUnscaled, kScaled}}), normalized);
}

TEST(Router, DeepseekV2ScalesASingleExpert) {
  const char* const v2 = "deepseek_v2_lite";
  const auto scaled = logits(v2, {{kFour, kOne}, {kUnscaled, kScaled}});
  EXPECT_NE(scaled, logits(v2, {{kFour, kOne}}));
  EXPECT_EQ(logits(v2, {{kFour, kOne}, {kUnscaled, kScaled}, {kPlain, kNormalized}}), scaled);
}

TEST(Router, DeepseekV3NormalizesAndScales) {
  const auto published = logits("deepseek_v3", {});
  EXPECT_NE(logits("deepseek_v3", {{"\"routed_scaling_factor\": 2.5", kUnscaled}}), published);
  EXPECT_NE(logits("deepseek_v3", {{kNormalized, kPlain}}), published);
}

}  // namespace
}  // namespace bundle::model
