#include "runtime/engine/random.h"

namespace bundle::engine {
namespace {

constexpr std::uint32_t kDrawStream = 0;
constexpr std::uint32_t kSeedStream = 1;

std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }
std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }

std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index, std::uint32_t stream) {
  const auto out = philox({low(index), high(index), stream, 0}, {low(seed), high(seed)});
  return std::uint64_t{out[0]} << 32 | out[1];
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {high(b) ^ counter[1] ^ key[0], low(b), high(a) ^ counter[3] ^ key[1], low(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

double uniform(std::uint64_t seed, std::uint64_t draw) {
  return static_cast<double>(random_bits(seed, draw, kDrawStream) >> 11) * 0x1.0p-53;
}

std::uint64_t derive_seed(std::uint64_t seed, std::uint64_t index) {
  return random_bits(seed, index, kSeedStream);
}

}  // namespace bundle::engine
