// What is wrong with a model is found before it is served, and named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/kernels/cpu_device.h"
#include "runtime/model/model.h"
#include "tests/golden/broken_checkpoints.h"
#include "tests/golden/temp_folder.h"

namespace bundle::model {
namespace {

Result<std::unique_ptr<Model>> open(const Path& folder, kernels::Device& device) {
  BUNDLE_TRY(auto source, format::ModelSource::open(folder));
  BUNDLE_TRY(auto checkpoint, format::Checkpoint::open(std::move(source)));
  return load_model(checkpoint, device);
}

class BrokenModels : public testing::TestWithParam<golden::BrokenCheckpoint> {};

TEST_P(BrokenModels, AreRefusedByName) {
  const golden::TempFolder folder;
  const Status written = golden::write_broken_checkpoint(
      GetParam(), Path(BUNDLE_SOURCE_DIR) / "tests" / "golden", folder.path());
  ASSERT_TRUE(written) << written.error().message();
  const auto device = kernels::make_reference_device();
  const auto model = open(folder.path(), *device);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(model.error().message(), testing::HasSubstr(GetParam().named));
}

INSTANTIATE_TEST_SUITE_P(All, BrokenModels, testing::ValuesIn(golden::broken_checkpoints()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace bundle::model
