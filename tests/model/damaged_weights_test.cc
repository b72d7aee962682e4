// An 8-bit float that is no number is refused by the tensor that holds it, on every device: some
// kernels would compute with it as if it were one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "tests/golden/safetensors_writer.h"
#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

using testing::HasSubstr;

class DamagedWeights : public testing::TestWithParam<TestDevice> {
 protected:
  /// Loads the golden with `code` in the middle of `name`.
  Result<std::unique_ptr<Model>> load(const std::string& name, char code) {
    std::vector<golden::StoredTensor> tensors;
    for (const golden::TensorSpec& spec : golden_.tensors) {
      std::string bytes = golden::tensor_bytes(golden_, spec).value();
      if (spec.name == name) bytes[bytes.size() / 2 + 3] = code;
      tensors.push_back({spec.name, spec.type, spec.shape, std::move(bytes)});
    }
    BUNDLE_CHECK(write_file_atomic(folder_.path() / "config.json", golden_.config_json));
    BUNDLE_CHECK(
        write_file_atomic(folder_.path() / "model.safetensors", golden::safetensors_text(tensors)));
    BUNDLE_TRY(auto source, format::ModelSource::open(folder_.path()));
    BUNDLE_TRY(checkpoint_, format::Checkpoint::open(std::move(source)));
    device_ = GetParam().make();
    return load_model(checkpoint_, *device_);
  }

  golden::Golden golden_ = load_golden("deepseek_v3_fp8");
  golden::TempFolder folder_;
  format::Checkpoint checkpoint_;
  std::unique_ptr<kernels::Device> device_;
};

TEST_P(DamagedWeights, NanIsRefusedByName) {
  for (const char* name :
       {"model.layers.1.self_attn.q_b_proj.weight", "model.layers.0.mlp.up_proj.weight",
        "model.layers.2.self_attn.kv_b_proj.weight",
        "model.layers.2.mlp.experts.3.down_proj.weight",
        "model.layers.3.mlp.shared_experts.gate_proj.weight"}) {
    for (const char code : {'\x7f', '\xff'}) {
      const auto model = load(name, code);
      ASSERT_FALSE(model) << name;
      EXPECT_EQ(model.error().code, ErrorCode::kBadInput);
      EXPECT_THAT(model.error().message(), testing::AllOf(HasSubstr(name), HasSubstr("NaN")));
    }
    EXPECT_TRUE(load(name, '\x7e')) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, DamagedWeights, testing::ValuesIn(test_devices()),
                         [](const auto& test) { return test.param.name; });
INSTANTIATE_TEST_SUITE_P(Cuda, DamagedWeights, testing::Values(emulated_cuda()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace bundle::model
