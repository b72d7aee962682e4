#include "runtime/tokenizer/byte_trie.h"

#include <algorithm>

namespace bundle::tokenizer {

ByteTrie::ByteTrie(std::vector<Key> keys) {
  std::stable_sort(keys.begin(), keys.end(),
                   [](const Key& a, const Key& b) { return a.text < b.text; });
  nodes_.emplace_back();
  std::vector<Task> tasks{{0, 0, keys.size(), 0}};
  while (!tasks.empty()) {
    const Task task = tasks.back();
    tasks.pop_back();
    expand(keys, task, tasks);
  }
  nodes_[0].value = -1;
  from_root_.fill(kNone);
  for (std::uint32_t i = 0; i < nodes_[0].edges; ++i) {
    from_root_[edges_[i].byte] = edges_[i].node;
  }
}

// Fills a node from the keys [begin, end), which share their first `depth` bytes.
void ByteTrie::expand(const std::vector<Key>& sorted, const Task& task, std::vector<Task>& tasks) {
  nodes_[task.node].first_edge = static_cast<std::uint32_t>(edges_.size());
  for (std::size_t i = task.begin; i < task.end;) {
    if (sorted[i].text.size() == task.depth) {
      if (nodes_[task.node].value < 0) nodes_[task.node].value = sorted[i].value;
      ++i;
      continue;
    }
    const char byte = sorted[i].text[task.depth];
    std::size_t same = i;
    while (same < task.end && sorted[same].text[task.depth] == byte) ++same;
    const auto child = static_cast<std::uint32_t>(nodes_.size());
    edges_.push_back({static_cast<unsigned char>(byte), child});
    ++nodes_[task.node].edges;
    nodes_.emplace_back();
    tasks.push_back({child, i, same, task.depth + 1});
    i = same;
  }
}

std::uint32_t ByteTrie::next(std::uint32_t node, char byte) const {
  const auto wanted = static_cast<unsigned char>(byte);
  if (node == 0) return from_root_[wanted];
  const Edge* first = edges_.data() + nodes_[node].first_edge;
  const Edge* last = first + nodes_[node].edges;
  if (last - first <= 4) {
    for (; first != last; ++first) {
      if (first->byte == wanted) return first->node;
    }
    return kNone;
  }
  first = std::lower_bound(first, last, wanted,
                           [](const Edge& e, unsigned char value) { return e.byte < value; });
  return first != last && first->byte == wanted ? first->node : kNone;
}

}  // namespace bundle::tokenizer
