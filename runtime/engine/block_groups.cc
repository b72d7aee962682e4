#include "runtime/engine/block_groups.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace bundle::engine {

BlockGroups::BlockGroups(std::int64_t groups, std::int64_t blocks, std::int64_t block_tokens,
                         bool reuse) {
  for (std::int64_t i = 0; i < groups; ++i) {
    groups_.push_back(std::make_unique<BlockManager>(blocks, block_tokens, reuse));
  }
}

std::int64_t BlockGroups::total() const {
  std::int64_t sum = 0;
  for (const auto& group : groups_) sum += group->total();
  return sum;
}

std::int64_t BlockGroups::held() const {
  std::int64_t sum = 0;
  for (const auto& group : groups_) sum += group->held();
  return sum;
}

std::int64_t BlockGroups::cached_tokens(std::span<const std::int32_t> tokens,
                                        const BlockTable& table) const {
  std::int64_t most = 0;
  for (const auto& group : groups_) most = std::max(most, group->cached_tokens(tokens, table));
  return most;
}

std::optional<std::int64_t> BlockGroups::admit(BlockTable& table,
                                               std::span<const std::int32_t> tokens, bool share,
                                               std::int64_t spare) {
  if (groups_.size() == 1) return groups_.front()->admit(table, tokens, share, spare);
  using Worth = std::pair<std::int64_t, std::int64_t>;  // cached tokens, free blocks
  std::vector<std::pair<Worth, std::int64_t>> order;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const std::int64_t cached = share ? groups_[i]->cached_tokens(tokens, table) : 0;
    order.push_back({{-cached, -groups_[i]->available()}, static_cast<std::int64_t>(i)});
  }
  std::sort(order.begin(), order.end());
  for (const auto& [worth, group] : order) {
    table.group = group;
    if (const auto cached = of(table).admit(table, tokens, share, spare)) return cached;
  }
  return std::nullopt;
}

std::string BlockGroups::audit(std::span<const BlockTable* const> tables) const {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    std::vector<const BlockTable*> own;
    std::copy_if(
        tables.begin(), tables.end(), std::back_inserter(own),
        [i](const BlockTable* table) { return table->group == static_cast<std::int64_t>(i); });
    if (std::string wrong = groups_[i]->audit(own); !wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace bundle::engine
