#include "runtime/tokenizer/vocabulary.h"

#include <bit>

namespace bundle::tokenizer {

void Vocabulary::reserve(std::size_t tokens, std::size_t bytes) {
  entries_.reserve(tokens);
  order_.reserve(tokens);
  arena_.reserve(bytes);
}

Status Vocabulary::set(std::int64_t id, std::string_view spelling) {
  if (id < 0 || id >= kMaxId) {
    return bad_input("token id " + std::to_string(id) + " is out of range");
  }
  if (spelling.size() >= kNone - arena_.size()) return bad_input("the vocabulary is too large");
  const auto index = static_cast<std::size_t>(id);
  if (index >= entries_.size()) entries_.resize(index + 1);
  entries_[index] = {static_cast<std::uint32_t>(arena_.size()),
                     static_cast<std::uint32_t>(spelling.size())};
  order_.push_back(static_cast<std::int32_t>(id));
  arena_.append(spelling);
  return {};
}

void Vocabulary::index() {
  slots_.assign(std::bit_ceil(order_.size() * 2 + 2), -1);
  const std::size_t mask = slots_.size() - 1;
  for (const std::int32_t id : order_) {
    std::size_t slot = hash_bytes(spelling(id)) & mask;
    while (slots_[slot] >= 0 && spelling(slots_[slot]) != spelling(id)) slot = (slot + 1) & mask;
    slots_[slot] = id;
  }
}

std::string_view Vocabulary::spelling(std::int32_t id) const {
  if (!has(id)) return {};
  const Entry& entry = entries_[static_cast<std::size_t>(id)];
  return std::string_view(arena_).substr(entry.begin, entry.length);
}

std::optional<std::int32_t> Vocabulary::find(std::string_view spelling) const {
  if (slots_.empty()) return std::nullopt;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash_bytes(spelling) & mask; slots_[slot] >= 0;
       slot = (slot + 1) & mask) {
    if (this->spelling(slots_[slot]) == spelling) return slots_[slot];
  }
  return std::nullopt;
}

bool Vocabulary::has(std::int32_t id) const {
  return id >= 0 && id < size() && entries_[static_cast<std::size_t>(id)].length != kNone;
}

}  // namespace bundle::tokenizer
