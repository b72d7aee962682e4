// What narrow caches cost: the logits of whole prompts beside those with a cache of float32. Of
// dense models: in a mixture, a rounding can choose another expert, which says nothing of rounding.
#include <cmath>
#include <gtest/gtest.h>

#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

class KvTypesTest : public testing::TestWithParam<std::string> {
 protected:
  KvTypesTest() { golden::make_checkpoint(golden_, folder_.path()).value(); }

  /// Logits at every position of the prompts.
  std::vector<float> logits(DType type) {
    ModelRunner runner(folder_.path(), test_devices().front(), type);
    std::vector<float> all;
    for (const golden::Prompt& prompt : golden_.prompts) {
      const auto rows = static_cast<std::int64_t>(prompt.tokens.size());
      runner.set_prompt(rows);
      const std::vector<float> some = runner.run(prompt.tokens, 0, rows);
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }

  golden::Golden golden_ = load_golden(GetParam());
  golden::TempFolder folder_;
};

/// Root mean square of a difference, as a part of the values'.
double error(const std::vector<float>& got, const std::vector<float>& exact) {
  double squares = 0;
  double size = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    squares += std::pow(static_cast<double>(got[i]) - exact[i], 2);
    size += std::pow(static_cast<double>(exact[i]), 2);
  }
  return std::sqrt(squares / size);
}

TEST_P(KvTypesTest, BytesWithScalesAreFinerThanEightBitFloats) {
  const std::vector<float> exact = logits(DType::kF32);
  const double half = error(logits(DType::kF16), exact);
  const double bytes = error(logits(DType::kI8), exact);
  const double floats = error(logits(DType::kF8E4M3), exact);
  EXPECT_LT(half, 1e-3);
  EXPECT_LT(bytes, 0.02);
  EXPECT_LT(bytes, floats / 2) << "int8 " << bytes << ", fp8 " << floats;
  RecordProperty("int8", std::to_string(bytes));
  RecordProperty("fp8", std::to_string(floats));
}

INSTANTIATE_TEST_SUITE_P(All, KvTypesTest, testing::Values("llama_tied", "qwen3_qknorm"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bundle::model
