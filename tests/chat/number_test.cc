#include "runtime/chat/number.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace bundle::chat {
namespace {

TEST(Number, PrintsFloatsAsPython) {
  EXPECT_EQ(print_float(0.0), "0.0");
  EXPECT_EQ(print_float(-0.0), "-0.0");
  EXPECT_EQ(print_float(1e15), "1000000000000000.0");
  EXPECT_EQ(print_float(1e16), "1e+16");
  EXPECT_EQ(print_float(1.5e-5), "1.5e-05");
  EXPECT_EQ(print_float(0.0001), "0.0001");
  EXPECT_EQ(print_float(123.456), "123.456");
  EXPECT_EQ(print_float(1e300), "1e+300");
  EXPECT_EQ(print_float(std::numeric_limits<double>::infinity()), "inf");
}

TEST(Number, ParsesAsPython) {
  EXPECT_EQ(parse_int(" -12 "), Int{-12});
  EXPECT_EQ(parse_int("1_000"), Int{1000});
  EXPECT_EQ(parse_int("0x_ff", 16), Int{255});
  EXPECT_EQ(parse_int("0b101", 0), Int{5});
  EXPECT_EQ(parse_int("٣"), Int{3});
  for (const char* bad : {"", "-", "1__0", "_1", "1_", "0x1", "1.0", "a"}) {
    EXPECT_FALSE(parse_int(bad).has_value()) << bad;
  }
  EXPECT_FALSE(parse_int("012", 0).has_value());
  EXPECT_FALSE(parse_int("5", 99).has_value());
  EXPECT_FALSE(parse_int(std::string(60, '9')).has_value());
  EXPECT_EQ(parse_float(" 1_0.5e1 "), 105.0);
  EXPECT_TRUE(std::isnan(*parse_float("-NaN")));
  for (const char* bad : {"", "e1", "1e", "0x1p3", "1_", "inf1"}) {
    EXPECT_FALSE(parse_float(bad).has_value()) << bad;
  }
}

TEST(Number, RoundsToEven) {
  EXPECT_EQ(round_float(0.5, 0), 0.0);
  EXPECT_EQ(round_float(1.5, 0), 2.0);
  EXPECT_EQ(round_float(2.675, 2), 2.67);
  EXPECT_EQ(round_float(1234.0, -2), 1200.0);
  EXPECT_EQ(round_int(25, -1), Int{20});
  EXPECT_EQ(round_int(-25, -1), Int{-20});
  EXPECT_EQ(round_int(7, 3), Int{7});
}

TEST(Number, RefusesOverflow) {
  const Value most(static_cast<Int>(~static_cast<unsigned long long>(0)) << 63);
  EXPECT_TRUE(multiply(most, most).has_error());
  EXPECT_TRUE(power(Value::integer(3), Value::integer(99)).has_error());
  EXPECT_TRUE(power(Value(-8.0), Value(0.5)).has_error());
  EXPECT_EQ(floor_divide(Value::integer(-7), Value::integer(2))->integral(), Int{-4});
  EXPECT_EQ(modulo(Value(-1.0), Value(3.0))->real(), 2.0);
}

}  // namespace
}  // namespace bundle::chat
