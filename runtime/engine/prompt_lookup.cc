#include "runtime/engine/prompt_lookup.h"

#include <algorithm>

namespace bundle::engine {
namespace {

constexpr std::size_t kLongest = 4;
constexpr std::size_t kShortest = 2;

}  // namespace

std::vector<std::int32_t> look_up(std::span<const std::int32_t> tokens, std::int64_t most) {
  for (std::size_t length = kLongest; most > 0 && length >= kShortest; --length) {
    if (tokens.size() <= length) continue;
    const auto tail = tokens.last(length);
    const auto before = tokens.first(tokens.size() - 1);
    const auto found = std::find_end(before.begin(), before.end(), tail.begin(), tail.end());
    if (found == before.end()) continue;
    const auto begin = found + static_cast<std::ptrdiff_t>(length);
    const std::int64_t left = tokens.end() - tokens.begin() - (begin - before.begin());
    const auto from = tokens.begin() + (begin - before.begin());
    return {from, from + std::min(most, left)};
  }
  return {};
}

}  // namespace bundle::engine
