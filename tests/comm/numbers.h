// Values that ranks send each other in tests.
#pragma once

#include <cstddef>
#include <random>
#include <span>
#include <stdexcept>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace bundle::comm {

/// Numbers whose sum depends on its order.
inline std::vector<float> numbers(int rank, std::size_t count) {
  std::mt19937 random(static_cast<std::uint32_t>(rank * 1000 + 7));
  std::uniform_real_distribution<float> any(-1.0f, 1.0f);
  std::vector<float> values(count);
  for (float& value : values) value = any(random) * (random() % 2 == 0 ? 1e-3f : 1e3f);
  return values;
}

inline std::vector<float> sum_in_order(int ranks, std::size_t count) {
  std::vector<float> sum = numbers(0, count);
  for (int r = 1; r < ranks; ++r) {
    const auto part = numbers(r, count);
    for (std::size_t i = 0; i < count; ++i) sum[i] += part[i];
  }
  return sum;
}

template <typename T>
Bytes bytes(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

template <typename T>
std::span<std::byte> space(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

inline void check(const Status& status) {
  if (!status) throw std::runtime_error(status.error().message());
}

}  // namespace bundle::comm
