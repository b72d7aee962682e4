#include "runtime/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "runtime/tokenizer/unicode.h"

namespace bundle::tokenizer {
namespace {

constexpr std::uint32_t kNoRank = 0xffffffff;
constexpr std::size_t kShortWord = 48;

struct Symbol {
  std::int32_t id;
  std::uint32_t begin;  // in the word
  std::uint32_t length;
  std::int32_t previous;
  std::int32_t next;  // -1 behind the last; -2: joined into its left neighbour
};

struct Candidate {
  std::uint32_t rank;
  std::int32_t left;
  // A heap that gives the lowest rank first, and of equals the leftmost.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : left > other.left;
  }
};

}  // namespace

void MergeTable::reserve(std::size_t merges) {
  const std::size_t want = std::bit_ceil(merges * 2 + 2);
  if (want <= slots_.size()) return;
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(want, Slot{});
  mask_ = want - 1;
  used_ = 0;
  for (const Slot& slot : old) {
    if (slot.key == kFree) continue;
    std::size_t at = slot_of(slot.key);
    while (slots_[at].key != kFree) at = (at + 1) & mask_;
    slots_[at] = slot;
    ++used_;
  }
}

void MergeTable::set(std::int32_t left, std::int32_t right, Merge merge) {
  if ((used_ + 1) * 2 > slots_.size()) reserve(slots_.size());
  const std::uint64_t key = key_of(left, right);
  std::size_t at = slot_of(key);
  while (slots_[at].key != kFree && slots_[at].key != key) at = (at + 1) & mask_;
  if (slots_[at].key == kFree) ++used_;
  slots_[at] = {key, merge};
}

// The symbols of one word while they are joined.
class Bpe::Joiner {
 public:
  Joiner(const Bpe& bpe, std::string_view word) : bpe_(bpe), word_(word) {
    symbols_.reserve(word.size());
  }

  void add(std::int32_t id, std::size_t begin, std::size_t length) {
    const auto index = static_cast<std::int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back(
        {id, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(length), index - 1, -1});
  }

  void join(std::vector<std::int32_t>& ids) {
    if (symbols_.empty()) return;
    if (symbols_.size() <= kShortWord) {
      join_short();
    } else {
      join_long();
    }
    for (std::int32_t i = 0; i >= 0; i = at(i).next) {
      emit(at(i).id, word_.substr(at(i).begin, at(i).length), ids);
    }
  }

 private:
  struct Parts {
    std::string_view left;
    std::string_view right;
  };

  bool is_unused(std::int32_t id) const {
    const std::vector<bool>& unused = bpe_.options_.unused;
    return id >= 0 && static_cast<std::size_t>(id) < unused.size() &&
           unused[static_cast<std::size_t>(id)];
  }

  // One symbol of the result. Only words by text have symbols that are no token.
  void emit(std::int32_t id, std::string_view text, std::vector<std::int32_t>& ids) {
    if (is_unused(id)) {
      if (const auto parts = made_of_.find(text); parts != made_of_.end()) {
        const Parts two = parts->second;
        emit(bpe_.words_->find(two.left).value_or(-1), two.left, ids);
        emit(bpe_.words_->find(two.right).value_or(-1), two.right, ids);
        return;
      }
    }
    const bool unknown_before = std::exchange(last_unknown_, id < 0);
    if (id >= 0) {
      ids.push_back(id);
    } else if (bpe_.options_.byte_fallback && bpe_.can_fall_back(text)) {
      for (const char byte : text) ids.push_back(bpe_.byte_ids_[static_cast<unsigned char>(byte)]);
    } else if (bpe_.options_.unknown && !(unknown_before && bpe_.options_.fuse_unknown)) {
      ids.push_back(*bpe_.options_.unknown);
    }
  }

  std::uint32_t rank_of(std::int32_t id, const Symbol& a, const Symbol& b) {
    if (is_unused(id)) {
      made_of_[word_.substr(a.begin, a.length + b.length)] = {word_.substr(a.begin, a.length),
                                                              word_.substr(b.begin, b.length)};
    }
    const std::vector<std::uint32_t>& ranks = bpe_.options_.ranks;
    return ranks.empty() ? static_cast<std::uint32_t>(id) : ranks[static_cast<std::size_t>(id)];
  }

  Symbol& at(std::int32_t index) { return symbols_[static_cast<std::size_t>(index)]; }

  // Of the symbol and its right neighbour.
  Merge merge_at(std::int32_t left) {
    const Symbol& a = at(left);
    if (a.next < 0) return {kNoRank, -1};
    const Symbol& b = at(a.next);
    if (bpe_.options_.by_text) {
      const auto id = bpe_.words_->find(word_.substr(a.begin, a.length + b.length));
      return id ? Merge{rank_of(*id, a, b), *id} : Merge{kNoRank, -1};
    }
    const Merge* merge = bpe_.merges_.find(a.id, b.id);
    return merge ? *merge : Merge{kNoRank, -1};
  }

  void apply(std::int32_t left, std::int32_t id) {
    Symbol& a = at(left);
    Symbol& b = at(a.next);
    a.id = id;
    a.length += b.length;
    a.next = b.next;
    b.next = -2;
    if (a.next >= 0) at(a.next).previous = left;
  }

  void join_short() {
    std::array<Merge, kShortWord> merges{};
    const auto slot = [&merges](std::int32_t i) -> Merge& {
      return merges[static_cast<std::size_t>(i)];
    };
    for (std::int32_t i = 0; i >= 0; i = at(i).next) slot(i) = merge_at(i);
    for (;;) {
      std::int32_t best = 0;
      for (std::int32_t i = at(0).next; i >= 0; i = at(i).next) {
        if (slot(i).rank < slot(best).rank) best = i;
      }
      if (slot(best).rank == kNoRank) return;
      apply(best, slot(best).id);
      slot(best) = merge_at(best);
      const std::int32_t before = at(best).previous;
      if (before >= 0) slot(before) = merge_at(before);
    }
  }

  void join_long() {
    std::vector<Merge> merges(symbols_.size());
    std::vector<Candidate> heap;
    const auto look = [&](std::int32_t left) {
      Merge& merge = merges[static_cast<std::size_t>(left)];
      merge = merge_at(left);
      if (merge.rank == kNoRank) return;
      heap.push_back({merge.rank, left});
      std::push_heap(heap.begin(), heap.end());
    };
    for (std::int32_t i = 0; i >= 0; i = at(i).next) look(i);
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end());
      const Candidate best = heap.back();
      heap.pop_back();
      const Merge merge = merges[static_cast<std::size_t>(best.left)];
      // Its symbols were joined otherwise since.
      if (at(best.left).next == -2 || merge.rank != best.rank) continue;
      apply(best.left, merge.id);
      look(best.left);
      if (at(best.left).previous >= 0) look(at(best.left).previous);
    }
  }

  const Bpe& bpe_;
  std::string_view word_;
  std::vector<Symbol> symbols_;
  std::map<std::string_view, Parts> made_of_;  // of tokens that are unused
  bool last_unknown_ = false;
};

Bpe::Bpe(std::shared_ptr<const Vocabulary> words, MergeTable merges, BpeOptions options)
    : words_(std::move(words)), merges_(std::move(merges)), options_(std::move(options)) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto raw = static_cast<char>(byte);
    const auto id = options_.bytes ? words_->find({&raw, 1})
                                   : words_->find(byte_piece(static_cast<unsigned char>(byte)));
    byte_ids_[byte] = options_.byte_ids.empty() ? id.value_or(-1) : options_.byte_ids[byte];
  }
}

void Bpe::tokenize(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (word.empty()) return;
  if (options_.whole) {
    if (const auto id = options_.whole->find(word)) {
      ids.push_back(*id);
      return;
    }
  }
  Joiner joiner(*this, word);
  if (options_.bytes) {
    split_bytes(word, joiner);
  } else {
    split_characters(word, joiner);
  }
  joiner.join(ids);
}

void Bpe::split_bytes(std::string_view word, Joiner& joiner) const {
  bool unknown_before = false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const std::int32_t id = byte_ids_[static_cast<unsigned char>(word[i])];
    if (id >= 0) {
      joiner.add(id, i, 1);
    } else if (options_.unknown && !(unknown_before && options_.fuse_unknown)) {
      joiner.add(*options_.unknown, i, 1);
    }
    unknown_before = id < 0;
  }
}

void Bpe::split_characters(std::string_view word, Joiner& joiner) const {
  const bool plain = options_.continuing_prefix.empty() && options_.word_suffix.empty();
  bool unknown_before = false;
  std::string spelled;
  for (std::size_t begin = 0; begin < word.size();) {
    const std::size_t length = utf8_length(word[begin]);
    std::string_view character = word.substr(begin, length);
    if (!plain) {
      spelled = begin == 0 ? "" : options_.continuing_prefix;
      spelled += character;
      if (begin + length == word.size()) spelled += options_.word_suffix;
      character = spelled;
    }
    if (const auto id = words_->find(character)) {
      joiner.add(*id, begin, length);
      unknown_before = false;
    } else if (options_.by_text) {
      joiner.add(-1, begin, length);
    } else if (!options_.byte_fallback || !fall_back(character, joiner)) {
      if (options_.unknown && !(unknown_before && options_.fuse_unknown)) {
        joiner.add(*options_.unknown, begin, length);
      }
      unknown_before = true;
    }
    begin += length;
  }
}

// Every byte of the character as a token of its own; false when one has none. An unknown token
// before it is left open: the reference fuses on, across the bytes.
bool Bpe::fall_back(std::string_view character, Joiner& joiner) const {
  if (!can_fall_back(character)) return false;
  for (const char byte : character) joiner.add(byte_ids_[static_cast<unsigned char>(byte)], 0, 1);
  return true;
}

bool Bpe::can_fall_back(std::string_view text) const {
  return std::all_of(text.begin(), text.end(), [this](char byte) {
    return byte_ids_[static_cast<unsigned char>(byte)] >= 0;
  });
}

std::string byte_piece(unsigned char byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
}

std::optional<unsigned char> parse_byte_piece(std::string_view piece) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>') return std::nullopt;
  unsigned value = 0;
  for (const char c : piece.substr(3, 2)) {
    const bool digit = c >= '0' && c <= '9';
    const bool letter = (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
    if (!digit && !letter) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(digit ? c - '0' : (c & 31) + 9);
  }
  return static_cast<unsigned char>(value);
}

}  // namespace bundle::tokenizer
