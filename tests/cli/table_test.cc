#include "cli/display/table.h"

#include <gtest/gtest.h>

namespace bundle::cli {
namespace {

TEST(Table, AlignsColumnsByCharactersNotBytes) {
  EXPECT_EQ(table({"A", "B"}, {{"é", "x"}, {"long", "y"}}), "A     B\né     x\nlong  y\n");
  EXPECT_EQ(table({"A"}, {}), "");
}

TEST(HumanDuration, TakesTwoUnits) {
  EXPECT_EQ(human_duration(59), "59 s");
  EXPECT_EQ(human_duration(61), "1 min 1 s");
  EXPECT_EQ(human_duration(7500), "2 h 5 min");
  EXPECT_EQ(human_duration(90000), "1 d 1 h");
}

}  // namespace
}  // namespace bundle::cli
