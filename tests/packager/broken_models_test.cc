// What is wrong with a model is found when it is packed: by name, and nothing is written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "packager/build.h"
#include "tests/golden/broken_checkpoints.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager {
namespace {

class BrokenModels : public testing::TestWithParam<golden::BrokenCheckpoint> {};

TEST_P(BrokenModels, AreRefusedByName) {
  const golden::TempFolder folder;
  const Path model = folder.path() / "model";
  const Status written = golden::write_broken_checkpoint(
      GetParam(), Path(BUNDLE_SOURCE_DIR) / "tests" / "golden", model);
  ASSERT_TRUE(written) << written.error().message();
  Store store = *Store::open(folder.path() / "store");
  const auto result = build(model, store, sample::no_runtime(), {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(result.error().message(), testing::HasSubstr(GetParam().named));
  EXPECT_THAT(sample::files_below(folder.path() / "store"), testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(All, BrokenModels, testing::ValuesIn(golden::broken_checkpoints()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace bundle::packager
