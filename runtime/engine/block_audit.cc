#include <unordered_map>

#include "runtime/engine/block_manager.h"

namespace bundle::engine {

std::string BlockManager::audit(std::span<const BlockTable* const> tables) const {
  std::vector<std::int32_t> holders(blocks_.size());
  for (const BlockTable* table : tables) {
    for (const std::int32_t block : table->blocks) ++holders[block];
    if (table->published > table->blocks.size()) return "a table says more than it holds";
    for (std::size_t i = 0; i < table->published; ++i) {
      if (blocks_[table->blocks[i]].node == 0) return "a published block is not in the index";
    }
  }
  std::unordered_map<std::uint64_t, std::int32_t> nodes;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& b = blocks_[i];
    if (b.references != holders[i]) return "block " + std::to_string(i) + " has wrong references";
    if (b.node != 0) nodes.emplace(b.node, static_cast<std::int32_t>(i));
  }
  if (nodes.size() != index_.size()) return "the index and the nodes differ";

  // Oldest first: a node's parent must be held, or come later.
  std::unordered_map<std::int32_t, std::int64_t> place;
  for (std::int32_t block = oldest_unused_; block != kNone; block = blocks_[block].newer) {
    if (blocks_[block].references != 0 || blocks_[block].node == 0) return "a wrong unused block";
    place.emplace(block, static_cast<std::int64_t>(place.size()));
  }
  if (static_cast<std::int64_t>(place.size()) != unused_count_) return "unused blocks are lost";
  for (const std::int32_t block : index_) {
    const Block& b = blocks_[block];
    if (find(key_of(block)) != block) return "one content is in the index twice";
    if (b.parent == 0) continue;
    const auto parent = nodes.find(b.parent);
    if (parent == nodes.end()) return "a node has lost its parent";
    if (blocks_[parent->second].references > 0) continue;
    if (b.references > 0) return "a held node has a parent that nobody holds";
    if (place.at(parent->second) < place.at(block)) return "a parent would go before its child";
  }
  std::int64_t held_blocks = 0;
  for (const std::int32_t count : holders) held_blocks += count > 0;
  if (held_blocks != held()) return "blocks are lost";
  return "";
}

}  // namespace bundle::engine
