#include "runtime/launch/ring.h"

#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <vector>

namespace bundle::launch {
namespace {

class RingTest : public testing::Test {
 protected:
  static constexpr std::size_t kSize = 256;

  RingCounters counters_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kSize);
  RingWriter writer_{counters_, buffer_};
  RingReader reader_{counters_, buffer_};
};

std::vector<std::byte> pattern(std::size_t from, std::size_t count) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::byte>((from + i) * 7));
  return bytes;
}

TEST_F(RingTest, TakesNoMoreThanFits) {
  EXPECT_TRUE(reader_.empty());
  EXPECT_EQ(*writer_.write(pattern(0, 300)), 256u);
  EXPECT_TRUE(writer_.full());
  EXPECT_EQ(*writer_.write(pattern(0, 1)), 0u);
  std::vector<std::byte> out(100);
  EXPECT_EQ(*reader_.read(out), 100u);
  EXPECT_EQ(out, pattern(0, 100));
  EXPECT_FALSE(writer_.full());
  EXPECT_EQ(*writer_.write(pattern(256, 300)), 100u);
  out.resize(1000);
  EXPECT_EQ(*reader_.read(out), 256u);
  out.resize(256);
  EXPECT_EQ(out, pattern(100, 256));
  EXPECT_TRUE(reader_.empty());
  EXPECT_EQ(*reader_.read(out), 0u);
}

TEST_F(RingTest, NothingIsNothing) {
  EXPECT_EQ(*writer_.write({}), 0u);
  EXPECT_EQ(*reader_.read({}), 0u);
}

TEST_F(RingTest, LyingCountersAreRefused) {
  std::vector<std::byte> out(10);
  for (const std::uint64_t lie : {std::uint64_t{257}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    counters_.written = lie;
    EXPECT_FALSE(reader_.read(out)) << lie;
  }
  counters_.written = 0;
  for (const std::uint64_t lie : {std::uint64_t{1}, ~std::uint64_t{0} - 300}) {
    counters_.read = lie;
    EXPECT_FALSE(writer_.write(pattern(0, 4))) << lie;
  }
}

TEST_F(RingTest, BytesArriveInOrderAcrossThreads) {
  constexpr std::size_t kTotal = 2'000'000;
  std::thread sender([&] {
    std::mt19937 random(1);
    std::size_t sent = 0;
    while (sent < kTotal) {
      const auto bytes = pattern(sent, std::min<std::size_t>(1 + random() % 400, kTotal - sent));
      const std::size_t n = *writer_.write(bytes);
      sent += n;
      if (n == 0) std::this_thread::yield();
    }
  });
  std::mt19937 random(2);
  std::size_t got = 0;
  bool equal = true;
  while (got < kTotal) {
    std::vector<std::byte> out(1 + random() % 400);
    const std::size_t n = *reader_.read(out);
    out.resize(n);
    equal = equal && out == pattern(got, n);
    got += n;
    if (n == 0) std::this_thread::yield();
  }
  sender.join();
  EXPECT_TRUE(equal);
}

}  // namespace
}  // namespace bundle::launch
