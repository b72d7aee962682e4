// What load_model refuses of models with experts, latent attention and 8-bit floats.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/kernels/cpu_device.h"
#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class LoadExpertsTest : public testing::TestWithParam<std::string> {
 protected:
  Error refusal() {
    golden::write_checkpoint(golden_, folder_.path()).value();
    const auto checkpoint =
        format::Checkpoint::open(format::ModelSource::open(folder_.path()).value()).value();
    const auto device = kernels::make_reference_device();
    auto model = load_model(checkpoint, *device);
    return model ? Error{ErrorCode::kFailed, "it was loaded"} : model.error();
  }

  /// One tensor of each kind: those of the second layer, of one expert in the middle.
  std::vector<std::size_t> kinds() const {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < golden_.tensors.size(); ++i) {
      const std::string& name = golden_.tensors[i].name;
      const bool expert = name.find(".experts.") != std::string::npos;
      const bool of_layer = name.starts_with("model.layers.1.");
      if (of_layer && (!expert || name.find(".experts.5.") != std::string::npos)) {
        found.push_back(i);
      }
    }
    return found;
  }

  golden::Golden golden_ = load_golden(GetParam());
  golden::TempFolder folder_;
};

TEST_P(LoadExpertsTest, EveryMissingTensorIsNamed) {
  const auto all = golden_.tensors;
  for (const std::size_t i : kinds()) {
    if (all[i].type == DType::kF8E4M3) continue;  // its scales can not be written without it
    golden_.tensors = all;
    golden_.tensors.erase(golden_.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    const Error error = refusal();
    EXPECT_EQ(error.code, ErrorCode::kBadInput) << all[i].name;
    EXPECT_THAT(error.message(), HasSubstr(all[i].name));
  }
}

TEST_P(LoadExpertsTest, EveryWrongShapeIsNamedWithTheWantedOne) {
  const auto all = golden_.tensors;
  for (const std::size_t i : kinds()) {
    // Scales are as long as their matrix makes them; tested below.
    if (all[i].type == DType::kF8E4M3 || all[i].name.ends_with("_scale_inv")) continue;
    golden_.tensors = all;
    golden_.tensors[i].shape[0] += 1;
    EXPECT_THAT(refusal().message(),
                AllOf(HasSubstr("'" + all[i].name + "'"),
                      HasSubstr("asks for " + format::shape_text(all[i].shape))));
  }
}

INSTANTIATE_TEST_SUITE_P(All, LoadExpertsTest,
                         testing::Values("mixtral", "qwen3_moe", "deepseek_v2_lite",
                                         "deepseek_v3_fp8"),
                         [](const auto& test) { return test.param; });

using LoadBlocksTest = LoadExpertsTest;

TEST_P(LoadBlocksTest, ScalesOfAnotherShapeAreRefused) {
  for (auto& tensor : golden_.tensors) {
    if (tensor.name != "model.layers.2.self_attn.kv_b_proj.weight_scale_inv") continue;
    tensor.shape = {4, 8};
    EXPECT_THAT(refusal().message(), AllOf(HasSubstr("'" + tensor.name + "'"),
                                           HasSubstr("[4, 8], the configuration asks for [8, 4]")));
  }
}

INSTANTIATE_TEST_SUITE_P(All, LoadBlocksTest, testing::Values("deepseek_v3_fp8"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bundle::model
