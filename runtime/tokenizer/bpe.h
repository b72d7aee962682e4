// Byte-pair encoding: a word starts as its bytes or characters, and the pair of neighbours with
// the lowest rank (the leftmost of equals) is joined until no pair has one.
//
// Short words look through all pairs; long ones keep them in a heap, so that a megabyte without a
// single split takes n log n.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/vocabulary.h"

namespace bundle::tokenizer {

/// What joining two neighbours gives.
struct Merge {
  std::uint32_t rank;
  std::int32_t id;
};

/// Pairs of ids that may be joined, by open addressing.
class MergeTable {
 public:
  void reserve(std::size_t merges);
  /// Of equal pairs the last one counts, as in the reference.
  void set(std::int32_t left, std::int32_t right, Merge merge);
  /// Null when the pair may not be joined.
  const Merge* find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t slot = slot_of(key);; slot = (slot + 1) & mask_) {
      if (slots_[slot].key == key) return &slots_[slot].merge;
      if (slots_[slot].key == kFree) return nullptr;
    }
  }

 private:
  struct Slot {
    std::uint64_t key = kFree;
    Merge merge{};
  };
  static constexpr std::uint64_t kFree = ~0ull;

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t slot_of(std::uint64_t key) const {
    return (key * 0x9e3779b97f4a7c15ull >> 29) & mask_;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(2);
  std::size_t mask_ = 1;
  std::size_t used_ = 0;
};

struct BpeOptions {
  bool bytes = false;          // words start as bytes, and the vocabulary spells bytes
  bool by_text = false;        // no merges: two tokens join when their text is a token
  bool byte_fallback = false;  // an unknown character becomes "<0xE4>" tokens
  bool fuse_unknown = false;   // unknown characters side by side are one unknown token
  std::optional<std::int32_t> unknown = {};
  std::string continuing_prefix = {};
  std::string word_suffix = {};
  /// Words that are one token, whatever could be joined. May be null.
  std::shared_ptr<const Vocabulary> whole = nullptr;
  /// With by_text, by id: lower ones join first. Empty: the ids themselves are the ranks.
  std::vector<std::uint32_t> ranks = {};
  /// With by_text, by id: tokens that may be joined on the way, but where they are left over are
  /// taken apart again. Empty: none.
  std::vector<bool> unused = {};
  /// With byte_fallback: the token of each byte, or -1. Empty: those spelled "<0xE4>".
  std::vector<std::int32_t> byte_ids = {};
};

/// `words` spells what the model sees: raw bytes if options.bytes, else UTF-8.
class Bpe final : public Model {
 public:
  Bpe(std::shared_ptr<const Vocabulary> words, MergeTable merges, BpeOptions options);

  void tokenize(std::string_view word, std::vector<std::int32_t>& ids) const override;

 private:
  class Joiner;

  void split_bytes(std::string_view word, Joiner& joiner) const;
  void split_characters(std::string_view word, Joiner& joiner) const;
  bool fall_back(std::string_view character, Joiner& joiner) const;
  bool can_fall_back(std::string_view text) const;

  std::shared_ptr<const Vocabulary> words_;
  MergeTable merges_;
  BpeOptions options_;
  std::array<std::int32_t, 256> byte_ids_{};  // of a byte, or of its "<0xE4>"; -1: none
};

/// "<0xE4>".
std::string byte_piece(unsigned char byte);
/// The byte of such a piece; none for other spellings.
std::optional<unsigned char> parse_byte_piece(std::string_view piece);

}  // namespace bundle::tokenizer
