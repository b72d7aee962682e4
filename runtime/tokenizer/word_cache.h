// Ids of words seen before. Text repeats its words, and a word's ids never change.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/vocabulary.h"

namespace bundle::tokenizer {

/// A table of short words with few ids, one place for each hash: a newer word takes the place of
/// an older one. Not thread-safe; see WordCaches.
class WordCache {
 public:
  /// The ids of a word, or nothing. Valid until the next store.
  std::span<const std::int32_t> find(std::string_view word, std::uint64_t hash) const {
    const Entry& entry = entries_[hash % kEntries];
    if (entry.hash != hash || entry.length != word.size() || entry.count == 0 ||
        std::memcmp(entry.word.data(), word.data(), word.size()) != 0) {
      return {};
    }
    return {entry.ids.data(), entry.count};
  }

  void store(std::string_view word, std::uint64_t hash, std::span<const std::int32_t> ids) {
    if (word.size() > kMaxWord || ids.empty() || ids.size() > kMaxIds) return;
    Entry& entry = entries_[hash % kEntries];
    entry.hash = hash;
    entry.length = static_cast<std::uint8_t>(word.size());
    entry.count = static_cast<std::uint8_t>(ids.size());
    std::memcpy(entry.word.data(), word.data(), word.size());
    std::memcpy(entry.ids.data(), ids.data(), ids.size_bytes());
  }

  static bool holds(std::string_view word) { return word.size() <= kMaxWord; }

 private:
  static constexpr std::size_t kEntries = 1 << 13;
  static constexpr std::size_t kMaxWord = 30;
  static constexpr std::size_t kMaxIds = 6;

  struct Entry {
    std::uint64_t hash = 0;
    std::uint8_t length = 0;
    std::uint8_t count = 0;
    std::array<char, kMaxWord> word{};
    std::array<std::int32_t, kMaxIds> ids{};
  };
  static_assert(sizeof(Entry) == 64);

  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

/// Caches for as many threads as encode at once, each lent to one of them. Thread-safe.
class WordCaches {
 public:
  class Lease {
   public:
    Lease(WordCaches& owner, std::unique_ptr<WordCache> cache)
        : owner_(owner), cache_(std::move(cache)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { owner_.give_back(std::move(cache_)); }
    WordCache& operator*() const { return *cache_; }

   private:
    WordCaches& owner_;
    std::unique_ptr<WordCache> cache_;
  };

  Lease lend() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return {*this, std::make_unique<WordCache>()};
    std::unique_ptr<WordCache> cache = std::move(idle_.back());
    idle_.pop_back();
    return {*this, std::move(cache)};
  }

 private:
  static constexpr std::size_t kKept = 8;

  void give_back(std::unique_ptr<WordCache> cache) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kKept) idle_.push_back(std::move(cache));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> idle_;
};

}  // namespace bundle::tokenizer
