// 32768 tokens through YaRN at R1's settings: the last logits are those of an implementation in
// float64 (tests/long/long_context.py, itself checked against transformers), and the cache takes
// what it says.
#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/golden/synthetic_checkpoint.h"
#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

constexpr std::int64_t kStep = 512;
constexpr std::int64_t kBlockTokens = 16;

TEST(LongContextTest, YarnAt32ThousandTokens) {
  const Path golden = BUNDLE_SOURCE_DIR "/tests/golden/deepseek_yarn_long";
  const Json expected = read_json_file(golden / "expected.json").value();
  const std::int64_t length = expected.at("length").as_int64();
  const golden::TempFolder folder;
  golden::write_synthetic_checkpoint(read_file(golden / "config.json").value(), 1, folder.path())
      .value();
  // The first after the reference: float32 sums at the machine's own speed.
  TestDevice device = test_devices().back();
  for (const TestDevice& each : test_devices()) {
    if (each.name == "avx512" || each.name == "avx2") device = each;
    if (each.name == "avx512") break;
  }
  ModelRunner runner(folder.path(), device, DType::kF32, length / kBlockTokens);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(length));
  for (std::int64_t i = 0; i < length; ++i) {
    tokens[static_cast<std::size_t>(i)] =
        static_cast<std::int32_t>((i * i * 7 + i * 31) % runner.vocab_size());
  }
  runner.set_prompt(length);
  std::vector<float> logits;
  for (std::int64_t at = 0; at < length; at += kStep) {
    const auto piece = std::span(tokens).subspan(static_cast<std::size_t>(at), kStep);
    logits = runner.run(piece, at, at + kStep == length ? 1 : 0);
  }
  std::vector<float> wanted;
  for (const Json& value : expected.at("last").as_array())
    wanted.push_back(value.to_number<float>());
  EXPECT_LE(largest_difference(logits, wanted), 1e-3f);
  // 2 layers of 64 + 32 elements, for every position of every block.
  EXPECT_EQ(runner.model().kv_shape(DType::kBF16, kBlockTokens).bytes_per_token(), 2u * 96 * 2);
}

}  // namespace
}  // namespace bundle::model
