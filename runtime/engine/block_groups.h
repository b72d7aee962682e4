// The cache blocks of ranks that attend for different sequences (data-parallel attention): each
// group of ranks has a cache of its own, and so a manager of its own. Without such groups there is
// one, and this is that.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine/block_manager.h"

namespace bundle::engine {

/// As BlockManager, but for a table's group: a sequence gets one when it is admitted, where most of
/// its prompt lies in the cache, or else where most is free. Not thread-safe.
class BlockGroups {
 public:
  /// `blocks` blocks in each group.
  BlockGroups(std::int64_t groups, std::int64_t blocks, std::int64_t block_tokens, bool reuse);

  std::int64_t total() const;
  std::int64_t held() const;
  std::int64_t block_tokens() const { return groups_.front()->block_tokens(); }
  bool reuses() const { return groups_.front()->reuses(); }
  /// In the group of this table.
  std::int64_t available(const BlockTable& table) const { return of(table).available(); }

  /// In the best group.
  std::int64_t cached_tokens(std::span<const std::int32_t> tokens, const BlockTable& table) const;
  std::optional<std::int64_t> admit(BlockTable& table, std::span<const std::int32_t> tokens,
                                    bool share, std::int64_t spare);
  bool grow(BlockTable& table, std::int64_t tokens) { return of(table).grow(table, tokens); }
  void publish(BlockTable& table, std::span<const std::int32_t> tokens, std::int64_t computed) {
    of(table).publish(table, tokens, computed);
  }
  void release(BlockTable& table) { of(table).release(table); }
  std::string audit(std::span<const BlockTable* const> tables) const;

 private:
  BlockManager& of(const BlockTable& table) const {
    return *groups_[static_cast<std::size_t>(table.group)];
  }

  std::vector<std::unique_ptr<BlockManager>> groups_;
};

}  // namespace bundle::engine
