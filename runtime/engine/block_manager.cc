#include "runtime/engine/block_manager.h"

#include <algorithm>
#include <random>

namespace bundle::engine {
namespace {

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

/// splitmix64's finalizer.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

bool BlockManager::Key::operator==(const Key& other) const {
  return parent == other.parent && salt == other.salt && below == other.below &&
         std::equal(tokens.begin(), tokens.end(), other.tokens.begin(), other.tokens.end());
}

std::size_t BlockManager::KeyHash::operator()(const Key& key) const {
  std::uint64_t hash = mix(manager->hash_seed_ ^ key.parent);
  hash = mix(hash ^ key.salt) + (key.below ? 1 : 0);
  for (const std::int32_t token : key.tokens) {
    hash = mix(hash + static_cast<std::uint32_t>(token) + 0x9E3779B97F4A7C15);
  }
  return hash;
}

BlockManager::BlockManager(std::int64_t blocks, std::int64_t block_tokens, bool reuse)
    : block_tokens_(block_tokens),
      reuse_(reuse),
      hash_seed_(random_seed()),
      blocks_(static_cast<std::size_t>(blocks)),
      index_(0, KeyHash{this}, KeyEqual{this}) {
  if (reuse) tokens_.resize(static_cast<std::size_t>(blocks * block_tokens));
  // Low numbers first, so that memory is touched from its start.
  for (std::int64_t i = blocks; i-- > 0;) free_.push_back(static_cast<std::int32_t>(i));
}

BlockManager::Key BlockManager::key_of(std::int32_t block) const {
  const Block& b = blocks_[block];
  const auto size = static_cast<std::size_t>(block_tokens_);
  return {b.parent, b.salt, b.below,
          std::span(tokens_).subspan(static_cast<std::size_t>(block) * size, size)};
}

std::int32_t BlockManager::find(const Key& key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? kNone : *found;
}

std::int64_t BlockManager::blocks_for(std::int64_t tokens) const {
  return tokens / block_tokens_ + (tokens % block_tokens_ != 0);
}

/// The key of a table's block `index`, whose tokens are given.
BlockManager::Key BlockManager::key_at(const BlockTable& table,
                                       std::span<const std::int32_t> tokens, std::size_t index,
                                       std::uint64_t parent) const {
  const auto size = static_cast<std::size_t>(block_tokens_);
  const bool below = static_cast<std::int64_t>(index) * block_tokens_ < table.border;
  return {parent, table.salt, below, tokens.subspan(index * size, size)};
}

std::vector<std::int32_t> BlockManager::shared_prefix(std::span<const std::int32_t> tokens,
                                                      const BlockTable& table) const {
  std::vector<std::int32_t> found;
  const auto size = static_cast<std::size_t>(block_tokens_);
  std::uint64_t parent = 0;
  for (std::size_t at = 0; at + size < tokens.size(); at += size) {
    const std::int32_t block = find(key_at(table, tokens, at / size, parent));
    if (block == kNone) break;
    found.push_back(block);
    parent = blocks_[block].node;
  }
  return found;
}

std::int64_t BlockManager::cached_tokens(std::span<const std::int32_t> tokens,
                                         const BlockTable& table) const {
  return static_cast<std::int64_t>(shared_prefix(tokens, table).size()) * block_tokens_;
}

std::optional<std::int64_t> BlockManager::admit(BlockTable& table,
                                                std::span<const std::int32_t> tokens, bool share,
                                                std::int64_t spare) {
  std::vector<std::int32_t> shared;
  if (share) shared = shared_prefix(tokens, table);
  // Shared blocks that nobody holds are available too, until this sequence holds them.
  const auto woken = std::count_if(shared.begin(), shared.end(), [this](std::int32_t block) {
    return blocks_[block].references == 0;
  });
  const std::int64_t fresh = blocks_for(static_cast<std::int64_t>(tokens.size())) -
                             static_cast<std::int64_t>(shared.size());
  if (available() - woken - fresh < spare) return std::nullopt;
  for (const std::int32_t block : shared) hold(block);
  table.blocks = std::move(shared);
  table.published = table.blocks.size();
  for (std::int64_t i = 0; i < fresh; ++i) table.blocks.push_back(take());
  return static_cast<std::int64_t>(table.published) * block_tokens_;
}

bool BlockManager::grow(BlockTable& table, std::int64_t tokens) {
  const std::int64_t more = blocks_for(tokens) - static_cast<std::int64_t>(table.blocks.size());
  if (more > available()) return false;
  for (std::int64_t i = 0; i < more; ++i) table.blocks.push_back(take());
  return true;
}

void BlockManager::publish(BlockTable& table, std::span<const std::int32_t> tokens,
                           std::int64_t computed) {
  if (!reuse_) return;
  const auto full = static_cast<std::size_t>(computed / block_tokens_);
  for (std::size_t i = table.published; i < full; ++i) {
    const std::uint64_t parent = i == 0 ? 0 : blocks_[table.blocks[i - 1]].node;
    const Key key = key_at(table, tokens, i, parent);
    const std::int32_t twin = find(key);
    if (twin == kNone) {
      enter(table.blocks[i], key);
    } else {
      hold(twin);
      drop(table.blocks[i]);
      table.blocks[i] = twin;
    }
  }
  table.published = std::max(table.published, full);
}

void BlockManager::enter(std::int32_t block, const Key& key) {
  Block& b = blocks_[block];
  b.parent = key.parent;
  b.salt = key.salt;
  b.below = key.below;
  b.node = ++last_node_;
  std::copy(key.tokens.begin(), key.tokens.end(), tokens_.begin() + block * block_tokens_);
  index_.insert(block);
}

void BlockManager::release(BlockTable& table) {
  for (auto block = table.blocks.rbegin(); block != table.blocks.rend(); ++block) drop(*block);
  table.blocks.clear();
  table.published = 0;
}

std::int32_t BlockManager::take() {
  std::int32_t block = kNone;
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
  } else {
    block = oldest_unused_;
    unlink(block);
    index_.erase(block);
    blocks_[block].node = 0;
  }
  blocks_[block].references = 1;
  return block;
}

void BlockManager::hold(std::int32_t block) {
  if (blocks_[block].references++ == 0) unlink(block);
}

void BlockManager::drop(std::int32_t block) {
  if (--blocks_[block].references > 0) return;
  if (blocks_[block].node != 0) {
    link_newest(block);
  } else {
    free_.push_back(block);
  }
}

void BlockManager::link_newest(std::int32_t block) {
  blocks_[block].older = newest_unused_;
  blocks_[block].newer = kNone;
  (newest_unused_ == kNone ? oldest_unused_ : blocks_[newest_unused_].newer) = block;
  newest_unused_ = block;
  ++unused_count_;
}

void BlockManager::unlink(std::int32_t block) {
  const Block& b = blocks_[block];
  (b.older == kNone ? oldest_unused_ : blocks_[b.older].newer) = b.newer;
  (b.newer == kNone ? newest_unused_ : blocks_[b.newer].older) = b.older;
  --unused_count_;
}

}  // namespace bundle::engine
