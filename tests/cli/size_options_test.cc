#include "cli/size_options.h"

#include <gtest/gtest.h>

namespace bundle::cli {
namespace {

TEST(SizeOptions, ReadUnits) {
  SizeOptions options;
  ASSERT_TRUE(set_size_option(options, "context", "32k"));
  EXPECT_EQ(options.context, 32768);
  ASSERT_TRUE(set_size_option(options, "ttft", "1.5s"));
  EXPECT_EQ(options.ttft, 1500);
  ASSERT_TRUE(set_size_option(options, "tpot", "40ms"));
  EXPECT_EQ(options.tpot, 40);
  ASSERT_TRUE(set_size_option(options, "gpu", "h100,l40s"));
  EXPECT_EQ(options.gpus, (std::vector<std::string>{"h100", "l40s"}));
}

TEST(SizeOptions, RefuseWhatIsNoValue) {
  for (const auto& [name, text] : {std::pair{"context", "0"},
                                   {"context", "1.5"},
                                   {"context", "many"},
                                   {"context", "9999999M"},
                                   {"concurrency", "-1"},
                                   {"concurrency", "nan"},
                                   {"concurrency", ""},
                                   {"tpot", "5 min"},
                                   {"tp", "0"},
                                   {"tp", "1025"},
                                   {"gpu", ","},
                                   {"budget", "1e99"}}) {
    SizeOptions options;
    const Status status = set_size_option(options, name, text);
    ASSERT_FALSE(status) << name << "=" << text;
    EXPECT_EQ(status.error().code, ErrorCode::kUsage);
    EXPECT_NE(status.error().where.find(name), std::string::npos);
  }
}

TEST(SizeOptions, NameTheNearest) {
  SizeOptions options;
  const Status status = set_size_option(options, "concurency", "4");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().remedy.find("concurrency"), std::string::npos);
}

}  // namespace
}  // namespace bundle::cli
