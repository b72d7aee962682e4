// 32768 tokens through YaRN at R1's settings: the last logits are transformers' (sdpa, float32) and
// those of an implementation in float64 (tests/long/long_context.py), and the cache grows by what
// it says of a token.
#include <gtest/gtest.h>

#include "base/json.h"
#include "runtime/kernels/cpu/kv_cache.h"
#include "tests/golden/synthetic_checkpoint.h"
#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

constexpr std::int64_t kStep = 512;
constexpr std::int64_t kBlockTokens = 16;
constexpr float kTolerance = 1e-3f;

const Path kGolden = BUNDLE_SOURCE_DIR "/tests/golden/deepseek_yarn_long";

/// The golden's model on the fastest device that sums in float32: the reference takes hours.
class LongContext : public testing::Test {
 protected:
  LongContext() : expected_(read_json_file(kGolden / "expected.json").value()) {
    golden::write_synthetic_checkpoint(read_file(kGolden / "config.json").value(), 1,
                                       folder_.path())
        .value();
  }

  std::int64_t length() const { return expected_.at("length").as_int64(); }

  TestDevice device() const {
    TestDevice chosen = test_devices().back();
    for (const TestDevice& each : test_devices())
      if (each.name == "avx2" || each.name == "avx512") chosen = each;
    return chosen;
  }

  static std::vector<float> floats(const Json& list) {
    std::vector<float> values;
    for (const Json& value : list.as_array()) values.push_back(value.to_number<float>());
    return values;
  }

  Json expected_;
  golden::TempFolder folder_;
};

TEST_F(LongContext, GivesTransformersLogitsAt32ThousandTokens) {
  ModelRunner runner(folder_.path(), device(), DType::kF32, length() / kBlockTokens);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(length()));
  for (std::int64_t i = 0; i < length(); ++i)
    tokens[static_cast<std::size_t>(i)] =
        static_cast<std::int32_t>((i * i * 7 + i * 31) % runner.vocab_size());
  runner.set_prompt(length());
  std::vector<float> logits;
  for (std::int64_t at = 0; at < length(); at += kStep) {
    const auto piece = std::span(tokens).subspan(static_cast<std::size_t>(at), kStep);
    logits = runner.run(piece, at, at + kStep == length() ? 1 : 0);
  }
  EXPECT_LE(largest_difference(logits, floats(expected_.at("transformers").at("last"))),
            kTolerance);
  EXPECT_LE(largest_difference(logits, floats(expected_.at("last"))), kTolerance);
}

TEST_F(LongContext, TheCacheGrowsByItsBytesAToken) {
  ModelRunner runner(folder_.path(), device());
  for (const DType type : {DType::kBF16, DType::kF8E4M3, DType::kI8}) {
    const kernels::KvShape shape = runner.model().kv_shape(type, kBlockTokens);
    // Two layers of 64 + 32 elements, and of signed bytes three scales of two bytes.
    const std::uint64_t vector = type == DType::kBF16 ? 192 : type == DType::kI8 ? 96 + 6 : 96;
    EXPECT_EQ(shape.bytes_per_token(), 2 * vector);
    const auto bytes = [&](std::int64_t tokens) {
      const auto cache = kernels::cpu::CpuKvCache::create(shape, tokens / kBlockTokens).value();
      return static_cast<const kernels::cpu::CpuKvCache&>(*cache).bytes();
    };
    EXPECT_EQ(bytes(length()) - bytes(length() / 2),
              length() / 2 * static_cast<std::int64_t>(2 * vector));
    EXPECT_EQ(bytes(length()), length() * static_cast<std::int64_t>(2 * vector));
  }
}

}  // namespace
}  // namespace bundle::model
