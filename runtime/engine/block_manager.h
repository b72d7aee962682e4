// Who holds which block of the paged cache, and which blocks hold a prefix worth keeping.
//
// A block whose positions are all computed is published: it becomes a node of an index, named by
// its parent node, its salt and its tokens. Looking a prefix up walks that index from the root and
// compares the tokens themselves, so no hash collision can hand one prompt another's cache. A
// published block that nobody holds stays until its memory is needed; the one unused for longest
// goes first. Sequences give their blocks back last one first, so a child always goes before its
// parent and no node is ever cut off from the root.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

namespace bundle::engine {

/// The blocks that one sequence holds, position p lying in blocks[p / block_tokens].
struct BlockTable {
  std::uint64_t salt = 0;
  /// Positions below it are computed otherwise than those from it on (Model::prompt_positions), a
  /// multiple of the block size: a block is shared only between tables that have it on one side.
  std::int64_t border = 0;
  std::vector<std::int32_t> blocks = {};
  std::size_t published = 0;  // so many of them, from the first, are nodes of the index
  std::int64_t group = 0;     // whose blocks they are (block_groups.h)
};

/// Not thread-safe.
class BlockManager {
 public:
  /// `reuse` false: nothing is ever published.
  BlockManager(std::int64_t blocks, std::int64_t block_tokens, bool reuse);
  BlockManager(const BlockManager&) = delete;
  BlockManager& operator=(const BlockManager&) = delete;

  std::int64_t total() const { return static_cast<std::int64_t>(blocks_.size()); }
  std::int64_t block_tokens() const { return block_tokens_; }
  bool reuses() const { return reuse_; }
  /// Blocks that a sequence could still get.
  std::int64_t available() const { return static_cast<std::int64_t>(free_.size()) + unused_count_; }
  std::int64_t held() const { return total() - available(); }

  /// How many positions from the first are in the index, in whole blocks, and never the last one:
  /// its logits are always wanted. The table's salt and border count, not its blocks.
  std::int64_t cached_tokens(std::span<const std::int32_t> tokens, const BlockTable& table) const;

  /// Fills an empty table with blocks for all `tokens`, shared ones first, and says how many
  /// positions those hold. None, and no change, when fewer than `spare` blocks would be left.
  std::optional<std::int64_t> admit(BlockTable& table, std::span<const std::int32_t> tokens,
                                    bool share, std::int64_t spare);

  /// Makes room for `tokens` positions in all. False, and no change, when blocks run out.
  bool grow(BlockTable& table, std::int64_t tokens);

  /// Publishes the blocks that the first `computed` positions fill. A block whose content is in the
  /// index already is exchanged for that one.
  void publish(BlockTable& table, std::span<const std::int32_t> tokens, std::int64_t computed);

  /// Gives all blocks back and empties the table.
  void release(BlockTable& table);

  /// What is wrong between the books and `tables`, all there are; "" when nothing is. For tests.
  std::string audit(std::span<const BlockTable* const> tables) const;

 private:
  static constexpr std::int32_t kNone = -1;

  struct Block {
    std::int32_t references = 0;
    std::int32_t newer = kNone;  // neighbours among the unused nodes, by time of last use
    std::int32_t older = kNone;
    std::uint64_t node = 0;  // 0: not published; numbers are never used again
    std::uint64_t parent = 0;
    std::uint64_t salt = 0;
    bool below = false;  // the border
  };

  /// A node's content.
  struct Key {
    std::uint64_t parent;
    std::uint64_t salt;
    bool below;
    std::span<const std::int32_t> tokens;
    bool operator==(const Key& other) const;
  };
  struct KeyHash {
    using is_transparent = void;
    const BlockManager* manager;
    std::size_t operator()(const Key& key) const;
    std::size_t operator()(std::int32_t block) const { return (*this)(manager->key_of(block)); }
  };
  struct KeyEqual {
    using is_transparent = void;
    const BlockManager* manager;
    bool operator()(std::int32_t a, std::int32_t b) const { return a == b; }
    bool operator()(const Key& a, std::int32_t b) const { return a == manager->key_of(b); }
    bool operator()(std::int32_t a, const Key& b) const { return b == manager->key_of(a); }
  };

  Key key_of(std::int32_t block) const;
  std::int32_t find(const Key& key) const;
  Key key_at(const BlockTable& table, std::span<const std::int32_t> tokens, std::size_t index,
             std::uint64_t parent) const;
  std::vector<std::int32_t> shared_prefix(std::span<const std::int32_t> tokens,
                                          const BlockTable& table) const;
  std::int64_t blocks_for(std::int64_t tokens) const;
  std::int32_t take();
  void hold(std::int32_t block);
  void drop(std::int32_t block);
  void link_newest(std::int32_t block);
  void unlink(std::int32_t block);
  void enter(std::int32_t block, const Key& key);

  std::int64_t block_tokens_;
  bool reuse_;
  std::uint64_t hash_seed_;  // differs between runs, so that nobody can aim at one bucket
  std::uint64_t last_node_ = 0;
  std::vector<Block> blocks_;
  std::vector<std::int32_t> tokens_;  // (blocks, block_tokens) of published blocks
  std::vector<std::int32_t> free_;
  std::int32_t oldest_unused_ = kNone;
  std::int32_t newest_unused_ = kNone;
  std::int64_t unused_count_ = 0;
  std::unordered_set<std::int32_t, KeyHash, KeyEqual> index_;
};

}  // namespace bundle::engine
