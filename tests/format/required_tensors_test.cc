// Every tensor that an architecture needs is missed by name, whoever asks.
#include "runtime/format/required_tensors.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdexcept>

#include "tests/golden/golden_weights.h"
#include "tests/golden/safetensors_writer.h"
#include "tests/golden/temp_folder.h"

namespace bundle::format {
namespace {

using testing::HasSubstr;

class RequiredTensors : public testing::TestWithParam<std::string> {
 protected:
  Status check() {
    golden::write_checkpoint(golden_, folder_.path()).value();
    const auto checkpoint = Checkpoint::open(ModelSource::open(folder_.path()).value()).value();
    return check_required_tensors(checkpoint, read_model_config(checkpoint).value());
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

/// Another golden than those below: what is changed is found by name.
class ChangedTensors : public testing::Test {
 protected:
  void read(const char* golden) {
    golden_ = golden::read_golden(Path(BUNDLE_SOURCE_DIR "/tests/golden") / golden).value();
  }

  golden::TensorSpec& tensor(std::string_view name) {
    const auto at = std::ranges::find(golden_.tensors, name, &golden::TensorSpec::name);
    if (at == golden_.tensors.end()) throw std::out_of_range(std::string(name));
    return *at;
  }

  void leave_out(std::string_view name) {
    std::erase_if(golden_.tensors, [&](const auto& spec) { return spec.name == name; });
  }

  std::string said() {
    golden::write_checkpoint(golden_, folder_.path()).value();
    const auto checkpoint = Checkpoint::open(ModelSource::open(folder_.path()).value()).value();
    const Status checked =
        check_required_tensors(checkpoint, read_model_config(checkpoint).value());
    return checked ? "" : checked.error().message();
  }

  golden::Golden golden_;
  golden::TempFolder folder_;
};

constexpr char kPredicting[] = "model.layers.4.";

TEST_F(ChangedTensors, APredictionLayerIsWholeOrAbsent) {
  read("deepseek_v3_mtp");
  EXPECT_EQ(said(), "");
  const auto all = golden_.tensors;
  for (const golden::TensorSpec& spec : all) {
    const bool expert = spec.name.find(".experts.") != std::string::npos;
    if (!spec.name.starts_with(kPredicting)) continue;
    if (expert && spec.name.find(".experts.7.") == std::string::npos) continue;
    golden_.tensors = all;
    leave_out(spec.name);
    // The main model's own serve where these are absent.
    const bool shared = spec.name.ends_with("embed_tokens.weight") ||
                        spec.name.ends_with("shared_head.head.weight");
    const std::string refusal = said();
    EXPECT_EQ(refusal.empty(), shared) << spec.name;
    EXPECT_THAT(refusal, HasSubstr(shared ? "" : spec.name));
  }
  golden_.tensors = all;
  std::erase_if(golden_.tensors,
                [](const auto& spec) { return spec.name.starts_with(kPredicting); });
  EXPECT_EQ(said(), "");
}

TEST_F(ChangedTensors, APredictionLayersShapesAreChecked) {
  read("deepseek_v3_mtp");
  const auto all = golden_.tensors;
  for (const char* name : {"enorm", "hnorm", "shared_head.norm", "eh_proj", "embed_tokens",
                           "shared_head.head", "self_attn.o_proj"}) {
    golden_.tensors = all;
    const std::string full = std::string(kPredicting) + name + ".weight";
    tensor(full).shape.back() += 1;
    EXPECT_THAT(said(), HasSubstr("'" + full + "' has shape")) << name;
  }
}

TEST_F(ChangedTensors, TypesThatNothingComputesWithAreRefused) {
  for (const DType type : {DType::kF8E5M2, DType::kF64, DType::kI16, DType::kI32, DType::kI64,
                           DType::kU8, DType::kBool}) {
    for (const char* name :
         {"model.embed_tokens.weight", "model.layers.1.self_attn.q_proj.weight",
          "model.layers.1.mlp.gate.weight", "model.layers.1.mlp.experts.3.down_proj.weight"}) {
      read("qwen3_moe");
      tensor(name).type = type;
      EXPECT_THAT(said(), testing::AllOf(HasSubstr(std::string("'") + name + "' has type"),
                                         HasSubstr(dtype_info(type).name),
                                         HasSubstr("which no kernel multiplies")));
    }
    read("qwen3_moe");
    tensor("model.layers.2.self_attn.k_norm.weight").type = type;
    EXPECT_THAT(said(), HasSubstr("k_norm.weight' has type"));
  }
}

TEST_F(ChangedTensors, IntegersAreNoVector) {
  read("qwen2_bias");
  tensor("model.layers.0.self_attn.v_proj.bias").type = DType::kI8;
  EXPECT_THAT(said(), HasSubstr("v_proj.bias' has type I8, where real numbers belong"));
}

TEST_F(ChangedTensors, BytesWithoutScalesAreNoMatrix) {
  read("llama3_rope");
  tensor("model.layers.0.mlp.up_proj.weight").type = DType::kI8;
  EXPECT_THAT(said(), HasSubstr("up_proj.weight_scale' is missing"));
}

TEST_F(ChangedTensors, ExpertsOfALayerHaveOneType) {
  read("deepseek_v3");
  tensor("model.layers.2.mlp.experts.9.gate_proj.weight").type = DType::kF32;
  EXPECT_THAT(said(), testing::AllOf(HasSubstr("differ in type"), HasSubstr("experts.9.gate_proj"),
                                     HasSubstr("Convert")));
  // Kinds of matrices may.
  read("deepseek_v3");
  for (golden::TensorSpec& spec : golden_.tensors) {
    if (spec.name.ends_with("gate_proj.weight")) spec.type = DType::kF32;
  }
  EXPECT_EQ(said(), "");
}

TEST_F(ChangedTensors, ATiedHeadIsTheEmbeddingOrAbsent) {
  read("llama_tied");
  EXPECT_EQ(said(), "");
  golden::TensorSpec head = tensor("model.embed_tokens.weight");
  head.name = "lm_head.weight";
  golden_.tensors.push_back(head);
  EXPECT_THAT(said(), HasSubstr("tie_word_embeddings"));
  const std::string embedding =
      golden::tensor_bytes(golden_, tensor("model.embed_tokens.weight")).value();
  // The same bytes, which the formula gives no two tensors.
  std::vector<golden::StoredTensor> stored;
  for (const golden::TensorSpec& spec : golden_.tensors) {
    stored.push_back(
        {spec.name, spec.type, spec.shape,
         spec.name == head.name ? embedding : golden::tensor_bytes(golden_, spec).value()});
  }
  ASSERT_TRUE(
      write_file_atomic(folder_.path() / "model.safetensors", golden::safetensors_text(stored)));
  const auto checkpoint = Checkpoint::open(ModelSource::open(folder_.path()).value()).value();
  EXPECT_TRUE(check_required_tensors(checkpoint, read_model_config(checkpoint).value()));
}

INSTANTIATE_TEST_SUITE_P(All, RequiredTensors,
                         testing::Values("qwen3_qknorm", "qwen3_moe", "mixtral", "deepseek_v2_lite",
                                         "deepseek_v3", "deepseek_v3_fp8"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bundle::format
