// The expected hashes are those of the floats that the Python package gguf makes of the same bytes.
#include "runtime/kernels/dequantize.h"

#include <gtest/gtest.h>
#include <vector>

#include "base/sha256.h"

namespace bundle::kernels {
namespace {

struct Golden {
  DType type;
  std::uint32_t seed;
  const char* sha256;
  float second;
  float last;
};

constexpr int kElements = 512;

std::vector<std::byte> bytes_from(std::uint32_t seed, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) {
    seed = seed * 1664525u + 1013904223u;
    byte = static_cast<std::byte>(seed >> 24);
  }
  return bytes;
}

class Dequantize : public testing::TestWithParam<Golden> {};

TEST_P(Dequantize, GivesGgufsFloatsBitForBit) {
  const Golden& golden = GetParam();
  const auto row = bytes_from(golden.seed, *storage_bytes(golden.type, kElements));
  std::vector<float> values(kElements);
  dequantize_row(golden.type, row.data(), kElements, values.data());
  for (float& value : values) value += 0.0f;  // one sign of zero
  EXPECT_EQ(values[1], golden.second);
  EXPECT_EQ(values[kElements - 1], golden.last);
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(values))), golden.sha256);
}

constexpr Golden kGolden[] = {
    {DType::kQ4_0, 4, "26705a780a00fcc808a47587414c2b34813662a91f756d8f220d351215ad8293",
     0.13232421875f, 0.021615982055664062f},
    {DType::kQ4_1, 4, "5a36eb4f2685b0ebde81bcf370cd094ca4b3e5111a4463f9de81a4dc20ab2040",
     -36.635986328125f, -0.312469482421875f},
    {DType::kQ5_0, 2, "ba2c2e5844c800030f24266bf58491fcb064a63aed2e94fede3e961e57d4c406",
     -171520.0f, -168.890625f},
    {DType::kQ5_1, 2, "e8368bb2d4b1821fd9ba27d808d710f673ed4ef3c059c573cf837532616e0279",
     385918.6875f, -24767.998046875f},
    {DType::kQ8_0, 1, "5eb7442e9e83cf9dc9ae3ba1c52497499b815835339a4ce03eb26fa06e1bed5f", -30324.0f,
     -0.79376220703125f},
    {DType::kQ2K, 1, "e277ad5d1aab4ac862a8cb941634731bf5c3a564c43cf208a1b282b8a26d7157",
     -0.04173159599304199f, -0.008965611457824707f},
    {DType::kQ3K, 1, "dfda10b2c1bf5e20c76520a0d8af1be9571c306ffff93b87d42fe03126fd7c62",
     -36.6953125f, 4.8834228515625f},
    {DType::kQ4K, 1, "44eb4b558b9fe5ad93d4ae2c75e991a475cd12fe672a31850bd85ef111dd1580",
     14365.1259765625f, 6.876025199890137f},
    {DType::kQ5K, 1, "b98ed55a67869f3b694d3c18d4711d3aed5ea7baa8eac569abd362be6dda1b29",
     148429.125f, 181.92433166503906f},
    {DType::kQ6K, 2, "ef12453a522c2d673136f2a08b70e9b3018edc6766f658497833026b7d1d988b",
     585.87890625f, 3388608.0f},
    {DType::kIQ4NL, 4, "cee3eb304d047af22f313dbfc1ec4b7a89ff5806f2050b19b55f8d564cb54406",
     2.10064697265625f, 0.34894371032714844f},
    {DType::kIQ4XS, 1, "b58ef31385a7cd3a34d32237eb35c961059bcf1152beea706ac96ef5733e861b",
     103740.0f, -12409.453125f},
};

INSTANTIATE_TEST_SUITE_P(Types, Dequantize, testing::ValuesIn(kGolden), [](const auto& test) {
  return std::string(dtype_info(test.param.type).name);
});

TEST(Dequantize, WidensPlainTypes) {
  const std::uint16_t halves[] = {0x3C00, 0xC000, 0x0000};
  const std::int8_t bytes[] = {-128, 0, 127};
  float out[3];
  dequantize_row(DType::kF16, reinterpret_cast<const std::byte*>(halves), 3, out);
  EXPECT_EQ(out[1], -2.0f);
  dequantize_row(DType::kI8, reinterpret_cast<const std::byte*>(bytes), 3, out);
  EXPECT_EQ(out[0], -128.0f);
  EXPECT_EQ(out[2], 127.0f);
}

}  // namespace
}  // namespace bundle::kernels
