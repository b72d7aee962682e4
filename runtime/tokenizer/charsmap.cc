#include "runtime/tokenizer/charsmap.h"

#include <cstring>

#include "base/bytes.h"

namespace bundle::tokenizer {
namespace {

// One unit of the array (darts-clone): a label or a value, an offset to the children, a leaf bit.
constexpr std::uint32_t label_of(std::uint32_t unit) { return unit & (1u << 31 | 0xff); }
constexpr std::uint32_t offset_of(std::uint32_t unit) {
  return (unit >> 10) << ((unit & 1u << 9) >> 6);
}
constexpr bool has_leaf(std::uint32_t unit) { return unit >> 8 & 1; }
constexpr std::uint32_t value_of(std::uint32_t unit) { return unit & ~(1u << 31); }

}  // namespace

Result<Charsmap> Charsmap::parse(std::string_view blob) {
  ByteReader reader(as_bytes(blob), "precompiled_charsmap");
  BUNDLE_TRY(const auto size, reader.read<std::uint32_t>("the size of the trie"));
  if (size % 4 != 0 || size == 0) return bad_input("the trie of the charsmap is not whole");
  BUNDLE_TRY(const Bytes trie, reader.take(size, "the trie"));
  BUNDLE_TRY(const Bytes normals, reader.take(reader.left(), "the normal forms"));
  Charsmap map;
  map.units_.resize(size / 4);
  std::memcpy(map.units_.data(), trie.data(), size);
  map.normals_ = as_text(normals);
  if (map.normals_.empty() || map.normals_.back() != '\0') {
    return bad_input("the normal forms of the charsmap do not end");
  }
  return map;
}

std::optional<Charsmap::Match> Charsmap::find(std::string_view text, bool longest) const {
  std::optional<Match> best;
  std::uint32_t node = offset_of(units_[0]);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) break;
    const std::uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    if (node >= units_.size()) break;
    const std::uint32_t at = value_of(units_[node]);
    if (at >= normals_.size()) break;
    best = Match{i + 1, std::string_view(normals_.data() + at)};
    if (!longest) break;
  }
  return best;
}

}  // namespace bundle::tokenizer
