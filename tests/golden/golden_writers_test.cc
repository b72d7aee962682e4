// The writers of tests' checkpoints against the goldens, whose tensors and digests come from the
// reference implementation.
#include <filesystem>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "tests/golden/published_tensors.h"
#include "tests/golden/synthetic_checkpoint.h"
#include "tests/golden/temp_folder.h"

namespace bundle::golden {
namespace {

class GoldenWriters : public testing::TestWithParam<std::string> {
 protected:
  Golden golden_ = read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden") / GetParam()).value();
};

TEST_P(GoldenWriters, ListThePublishedTensors) {
  const std::vector<TensorSpec> listed = published_tensors(golden_.config_json).value();
  ASSERT_EQ(listed.size(), golden_.tensors.size());
  for (std::size_t i = 0; i < listed.size(); ++i) {
    EXPECT_EQ(listed[i].name, golden_.tensors[i].name);
    EXPECT_EQ(listed[i].type, golden_.tensors[i].type) << listed[i].name;
    EXPECT_EQ(listed[i].shape, golden_.tensors[i].shape) << listed[i].name;
  }
}

TEST_P(GoldenWriters, StreamTheBytesOfTheGolden) {
  const TempFolder whole, pieces;
  ASSERT_TRUE(make_checkpoint(golden_, whole.path()));
  ASSERT_TRUE(write_synthetic_checkpoint(golden_.config_json, golden_.seed, pieces.path()));
  const Path file = "model.safetensors";
  EXPECT_TRUE(read_file(whole.path() / file).value() == read_file(pieces.path() / file).value());
}

INSTANTIATE_TEST_SUITE_P(All, GoldenWriters,
                         testing::Values("llama_tied", "llama3_rope", "qwen2_bias", "qwen3_qknorm",
                                         "qwen3_moe", "mixtral", "deepseek_v2_lite", "deepseek_v3",
                                         "deepseek_v3_fp8", "deepseek_v3_mtp"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bundle::golden
