// Every tensor that an architecture needs is missed by name when a model is packed.
#include "packager/required_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/golden/golden_weights.h"
#include "tests/golden/temp_folder.h"

namespace bundle::packager {
namespace {

using testing::HasSubstr;

class RequiredTensors : public testing::TestWithParam<std::string> {
 protected:
  Status check() {
    golden::write_checkpoint(golden_, folder_.path()).value();
    const auto checkpoint =
        format::Checkpoint::open(format::ModelSource::open(folder_.path()).value()).value();
    return check_required_tensors(checkpoint, format::read_model_config(checkpoint).value());
  }

  golden::Golden golden_ =
      golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden") / GetParam()).value();
  golden::TempFolder folder_;
};

TEST_P(RequiredTensors, ACompleteModelPasses) { EXPECT_TRUE(check()); }

TEST_P(RequiredTensors, AMissingOneIsNamed) {
  const auto all = golden_.tensors;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string& name = all[i].name;
    const bool expert = name.find(".experts.") != std::string::npos;
    if (!name.starts_with("model.layers.2.")) continue;
    if (expert && name.find(".experts.7.") == std::string::npos) continue;
    if (all[i].type == DType::kF8E4M3) continue;  // its scales can not be written without it
    golden_.tensors = all;
    golden_.tensors.erase(golden_.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    const Status checked = check();
    ASSERT_FALSE(checked) << name;
    EXPECT_EQ(checked.error().code, ErrorCode::kBadInput);
    EXPECT_THAT(checked.error().message(), HasSubstr(name));
  }
}

TEST_P(RequiredTensors, AnExpertOfAnotherShapeIsNamed) {
  for (golden::TensorSpec& tensor : golden_.tensors) {
    if (tensor.name.find("experts.3.") == std::string::npos || tensor.type != DType::kBF16)
      continue;
    tensor.shape[0] += 1;
    EXPECT_THAT(check().error().message(), HasSubstr(tensor.name));
    return;
  }
}

// Its configuration says less than its tensors: it would give other answers than it should.
TEST_P(RequiredTensors, ATensorThatTheConfigurationDeniesIsNamed) {
  golden::TensorSpec extra = golden_.tensors.front();
  extra.name = "model.layers.1.self_attn.q_proj.bias";
  extra.type = DType::kBF16;
  extra.shape = {8};
  golden_.tensors.push_back(extra);
  const Status checked = check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(checked.error().message(), HasSubstr(extra.name));
}

INSTANTIATE_TEST_SUITE_P(All, RequiredTensors,
                         testing::Values("qwen3_qknorm", "qwen3_moe", "mixtral", "deepseek_v2_lite",
                                         "deepseek_v3", "deepseek_v3_fp8"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bundle::packager
