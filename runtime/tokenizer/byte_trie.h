// A trie over byte strings, for finding every key that a text starts with.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bundle::tokenizer {

/// Immutable; thread-safe. Keys that are empty are never found; of equal keys the first counts.
class ByteTrie {
 public:
  struct Key {
    std::string_view text;
    std::int32_t value;
  };
  static constexpr std::uint32_t kNone = 0xffffffff;

  ByteTrie() : ByteTrie(std::vector<Key>()) {}
  explicit ByteTrie(std::vector<Key> keys);

  /// The node behind `node` (0 is the root) by a byte, or kNone.
  std::uint32_t next(std::uint32_t node, char byte) const;
  /// The value of the key that ends at a node, or -1.
  std::int32_t value(std::uint32_t node) const { return nodes_[node].value; }

 private:
  // The children of a node are `edges` entries of edges_, sorted by byte.
  struct Node {
    std::uint32_t first_edge = 0;
    std::uint16_t edges = 0;
    std::int32_t value = -1;
  };
  struct Edge {
    unsigned char byte;
    std::uint32_t node;
  };
  struct Task {
    std::uint32_t node;
    std::size_t begin, end, depth;
  };

  void expand(const std::vector<Key>& sorted, const Task& task, std::vector<Task>& tasks);

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::array<std::uint32_t, 256> from_root_{};
};

}  // namespace bundle::tokenizer
