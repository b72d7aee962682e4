#include "runtime/server/random_id.h"

#include <random>

namespace bundle::server {
namespace {

std::mt19937_64 seeded() {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device(),
                     device(), device(), device(), device()};
  return std::mt19937_64(seed);
}

}  // namespace

std::string random_id(std::string_view prefix) {
  static constexpr char kHex[] = "0123456789abcdef";
  thread_local std::mt19937_64 engine = seeded();
  std::string out(prefix);
  for (int half = 0; half < 2; ++half) {
    std::uint64_t bits = engine();
    for (int i = 0; i < 16; ++i, bits >>= 4) out += kHex[bits & 15];
  }
  return out;
}

}  // namespace bundle::server
