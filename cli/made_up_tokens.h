// Prompts for measuring, where what they say does not matter.
#pragma once

#include <cstdint>
#include <vector>

namespace bundle::cli {

/// A walk over the vocabulary, the same for the same seed: it sends a mixture's rows to all of its
/// experts, as text does, and repeats nothing that a cache of prefixes would find.
inline std::vector<std::int32_t> made_up_tokens(std::int64_t count, std::int64_t vocabulary,
                                                std::uint64_t seed) {
  std::vector<std::int32_t> tokens;
  std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t drawn = (state >> 33) % static_cast<std::uint64_t>(vocabulary);
    tokens.push_back(static_cast<std::int32_t>(drawn));
  }
  return tokens;
}

}  // namespace bundle::cli
