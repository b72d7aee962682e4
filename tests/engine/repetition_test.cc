#include "runtime/engine/repetition.h"

#include <gtest/gtest.h>
#include <string>

namespace bundle::engine {
namespace {

TEST(Repetition, CountsWhatRepeatedGroupsComeTo) {
  for (const auto& [expression, count] : std::vector<std::pair<std::string, std::int64_t>>{
           {"", 0},
           {"[a-z]{1,1000}", 0},
           {"(abc)", 0},
           {"(ab{2}){1,5}", 15},
           {"([a-z]{1,40}|[0-9]{1,40}){1,10}", 800},
           {"(a){3}(b){4}", 4},
           {"((a{2}){3}){4}", 24},
           {"(\\(\\)){4}", 8},
           {"([)(]{2}){5}", 10},
           {"(ab){2,}", 4},
           {"(a+b*c?){3}", 9},
           {"root ::= (\"abc\" \"d\"){6}", 12},
           {"(a{99999999999999999999}){2}", std::int64_t{1} << 40},
           {"((((a{1,1000}){1,1000}){1,1000}){1,1000}){1,1000}", std::int64_t{1} << 40},
           {")))((", 0},
           {"(a{", 0},
           {"(a){x}", 0},
           {"\\", 0},
           {"[", 0}}) {
    EXPECT_EQ(repeated_elements(expression), count) << expression;
  }
}

TEST(Repetition, IsQuickOnAnything) {
  EXPECT_EQ(repeated_elements(std::string(100'000, '(')), 0);
  EXPECT_EQ(repeated_elements(std::string(100'000, '{')), 0);
}

}  // namespace
}  // namespace bundle::engine
