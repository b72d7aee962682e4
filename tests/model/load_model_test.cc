// What load_model refuses, and how it says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/kernels/cpu_device.h"
#include "tests/golden/temp_folder.h"
#include "tests/model/checkpoint_builder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

using golden::Golden;
using testing::AllOf;
using testing::HasSubstr;

/// Writes a golden's tensors and tries to load the model.
class LoadModelTest : public testing::Test {
 protected:
  void write() { golden::write_checkpoint(golden_, folder_.path()).value(); }

  Result<std::unique_ptr<Model>> load(const Progress& progress = {}) {
    checkpoint_ = std::make_unique<format::Checkpoint>(
        format::Checkpoint::open(format::ModelSource::open(folder_.path()).value()).value());
    return load_model(*checkpoint_, *device_, progress);
  }

  Error refusal() {
    write();
    auto model = load();
    return model ? Error{ErrorCode::kFailed, "it was loaded"} : model.error();
  }

  golden::TensorSpec& tensor(std::string_view name) {
    for (auto& spec : golden_.tensors) {
      if (spec.name == name) return spec;
    }
    throw std::out_of_range(std::string(name));
  }

  Golden golden_ = dense_golden({.architecture = "Qwen2ForCausalLM", .tied = false});
  golden::TempFolder folder_;
  std::unique_ptr<kernels::Device> device_ = kernels::make_reference_device();
  std::unique_ptr<format::Checkpoint> checkpoint_;
};

TEST_F(LoadModelTest, EveryMissingTensorIsNamed) {
  const std::vector<golden::TensorSpec> all = golden_.tensors;
  for (std::size_t i = 0; i < all.size(); ++i) {
    golden_.tensors = all;
    golden_.tensors.erase(golden_.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    const Error error = refusal();
    EXPECT_EQ(error.code, ErrorCode::kBadInput) << all[i].name;
    EXPECT_THAT(error.message(), HasSubstr(all[i].name));
  }
}

TEST_F(LoadModelTest, EveryWrongShapeIsNamedWithTheWantedOne) {
  const std::vector<golden::TensorSpec> all = golden_.tensors;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == "model.embed_tokens.weight") continue;  // may give the vocabulary its size
    golden_.tensors = all;
    golden_.tensors[i].shape[0] += 1;
    const Error error = refusal();
    EXPECT_EQ(error.code, ErrorCode::kBadInput);
    EXPECT_THAT(error.message(), AllOf(HasSubstr("'" + all[i].name + "'"),
                                       HasSubstr(format::shape_text(golden_.tensors[i].shape)),
                                       HasSubstr("asks for " + format::shape_text(all[i].shape))));
  }
}

TEST_F(LoadModelTest, ATransposedMatrixIsRefused) {
  tensor("model.layers.1.mlp.down_proj.weight").shape = {512, 256};
  EXPECT_THAT(refusal().message(), HasSubstr("[512, 256], the configuration asks for [256, 512]"));
}

TEST_F(LoadModelTest, AVectorInPlaceOfAMatrixIsRefused) {
  tensor("model.layers.0.self_attn.o_proj.weight").shape = {256 * 256};
  EXPECT_THAT(refusal().message(), HasSubstr("o_proj.weight"));
}

TEST_F(LoadModelTest, ProgressCountsEveryByteAndMayEndIt) {
  write();
  std::uint64_t last = 0, all = 0;
  const auto loaded = load([&](std::string_view stage, std::uint64_t done, std::uint64_t total) {
    EXPECT_EQ(stage, "loading weights");
    EXPECT_GE(done, last);
    last = done;
    all = total;
    return true;
  });
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(last, all);
  EXPECT_EQ(all, checkpoint_->weight_bytes());
  const auto ended = load([](std::string_view, std::uint64_t, std::uint64_t) { return false; });
  EXPECT_EQ(ended.error().code, ErrorCode::kInterrupted);
}

TEST_F(LoadModelTest, CacheShapeIsTheModels) {
  write();
  const auto model = load();
  const kernels::KvShape shape = (*model)->kv_shape(DType::kBF16, 32);
  EXPECT_EQ(shape.layers, 2);
  EXPECT_EQ(shape.kv_heads, 2);
  EXPECT_EQ(shape.head_dim, 64);
  EXPECT_EQ(shape.block_tokens, 32);
  EXPECT_EQ(shape.bytes_per_token(), 2u * 2 * 2 * 64 * 2);
}

TEST_F(LoadModelTest, TiedModelsNeedNoOutputMatrix) {
  golden_ = dense_golden({.architecture = "MistralForCausalLM", .tied = true});
  write();
  EXPECT_TRUE(load().has_value());
}

}  // namespace
}  // namespace bundle::model
