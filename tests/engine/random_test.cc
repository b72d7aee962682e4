#include "runtime/engine/random.h"

#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <set>

namespace bundle::engine {
namespace {

using Counter = std::array<std::uint32_t, 4>;

// Known answers published with the Random123 library.
TEST(Random, PhiloxKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (Counter{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Counter{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
  EXPECT_EQ(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}),
            (Counter{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

TEST(Random, UniformFillsTheUnitInterval) {
  constexpr int kDraws = 200000;
  std::array<int, 64> bins{};
  double sum = 0.0;
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const double u = uniform(42, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++bins[static_cast<std::size_t>(u * 64)];
    sum += u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.003);
  double chi_square = 0.0;
  for (const int count : bins) chi_square += std::pow(count - kDraws / 64.0, 2) / (kDraws / 64.0);
  EXPECT_LT(chi_square, 103.4);  // 63 degrees of freedom, p = 0.001
}

TEST(Random, EveryBitOfSeedAndDrawMatters) {
  std::set<double> seen;
  for (int bit = 0; bit < 64; ++bit) {
    seen.insert(uniform(1ull << bit, 0));
    seen.insert(uniform(0, 1ull << bit));
  }
  EXPECT_EQ(seen.size(), 128u);
}

TEST(Random, SeedsAreNoDraws) {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t i = 0; i < 1000; ++i) seeds.insert(derive_seed(7, i));
  EXPECT_EQ(seeds.size(), 1000u);
  EXPECT_NE(static_cast<double>(derive_seed(7, 0) >> 11) * 0x1p-53, uniform(7, 0));
}

}  // namespace
}  // namespace bundle::engine
