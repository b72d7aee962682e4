#include "cli/progress_line.h"

#include <gtest/gtest.h>

namespace bundle::cli {
namespace {

TEST(ProgressText, ShowsShareSizeAndTime) {
  EXPECT_EQ(progress_text("hashing a", 49181216, 98362432, std::chrono::seconds(12)),
            "hashing a  50% of 98.4 MB, 12 s");
  EXPECT_EQ(progress_text("draining", 0, 0, std::chrono::seconds(3)), "draining, 3 s");
  EXPECT_EQ(progress_text("layers", 3, 4, std::chrono::seconds(0)), "layers  75%, 0 s");
}

}  // namespace
}  // namespace bundle::cli
