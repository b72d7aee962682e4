// Token spellings by id and ids by spelling, in flat memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::tokenizer {

/// A quick hash of short byte strings.
inline std::uint64_t hash_bytes(std::string_view text) {
  constexpr std::uint64_t kMix = 0x9e3779b97f4a7c15ull;
  std::uint64_t hash = text.size() * kMix;
  const char* at = text.data();
  std::size_t left = text.size();
  const auto mix = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * kMix;
    hash ^= hash >> 29;
  };
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    mix(word);
  }
  std::uint64_t tail = 0;
  std::memcpy(&tail, at, left);
  mix(tail ^ 0xff51afd7ed558ccdull);
  return hash;
}

/// Ids at or above this are refused: they would only make tables huge.
inline constexpr std::int64_t kMaxId = 1 << 24;

/// Immutable once filled; then thread-safe.
class Vocabulary {
 public:
  void reserve(std::size_t tokens, std::size_t bytes);

  /// Gives `id` its spelling. Ids need not come in order. Refused: ids out of range.
  Status set(std::int64_t id, std::string_view spelling);
  /// Builds the index by spelling; of equal spellings the last id set counts.
  void index();

  /// "" for an id that has no spelling.
  std::string_view spelling(std::int32_t id) const;
  std::optional<std::int32_t> find(std::string_view spelling) const;
  bool has(std::int32_t id) const;
  /// One more than the largest id.
  std::int32_t size() const { return static_cast<std::int32_t>(entries_.size()); }

 private:
  struct Entry {
    std::uint32_t begin = 0;
    std::uint32_t length = kNone;
  };
  static constexpr std::uint32_t kNone = 0xffffffff;

  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<std::int32_t> order_;  // ids as they were set
  std::vector<std::int32_t> slots_;  // open addressing; -1 is free
};

}  // namespace bundle::tokenizer
