#include "runtime/engine/block_manager.h"

#include <gtest/gtest.h>
#include <memory>
#include <numeric>
#include <random>

namespace bundle::engine {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens range(std::int32_t from, std::int32_t count) {
  Tokens tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

/// Admits, computes and publishes all, as one undisturbed prompt would.
std::int64_t fill(BlockManager& blocks, BlockTable& table, const Tokens& tokens) {
  const auto cached = blocks.admit(table, tokens, true, 0);
  EXPECT_TRUE(cached);
  blocks.publish(table, tokens, static_cast<std::int64_t>(tokens.size()));
  return cached.value_or(-1);
}

TEST(BlockManager, SharesWholeBlocksOfAPrefix) {
  BlockManager blocks(10, 4, true);
  BlockTable a, b;
  EXPECT_EQ(fill(blocks, a, range(0, 10)), 0);
  EXPECT_EQ(blocks.held(), 3);
  EXPECT_EQ(fill(blocks, b, range(0, 12)), 8);
  EXPECT_EQ(blocks.held(), 4);
  EXPECT_EQ(a.blocks[0], b.blocks[0]);
  EXPECT_EQ(a.blocks[1], b.blocks[1]);
  EXPECT_NE(a.blocks[2], b.blocks[2]);
  const BlockTable* tables[] = {&a, &b};
  EXPECT_EQ(blocks.audit(tables), "");
}

TEST(BlockManager, TheLastTokenIsAlwaysComputed) {
  BlockManager blocks(10, 4, true);
  BlockTable a, b;
  fill(blocks, a, range(0, 8));
  EXPECT_EQ(fill(blocks, b, range(0, 8)), 4);
  // Its own second block had a twin, which it then shares.
  EXPECT_EQ(a.blocks, b.blocks);
  EXPECT_EQ(blocks.held(), 2);
}

TEST(BlockManager, SaltsKeepPrefixesApart) {
  BlockManager blocks(10, 4, true);
  BlockTable a, b;
  b.salt = 1;
  fill(blocks, a, range(0, 9));
  EXPECT_EQ(fill(blocks, b, range(0, 9)), 0);
  EXPECT_EQ(blocks.cached_tokens(range(0, 9), {.salt = 1}), 8);
  EXPECT_EQ(blocks.cached_tokens(range(0, 9), {.salt = 2}), 0);
}

TEST(BlockManager, EqualBlocksAtOtherPlacesAreNotShared) {
  BlockManager blocks(10, 2, true);
  BlockTable a;
  fill(blocks, a, {1, 2, 3, 4, 9});
  EXPECT_EQ(blocks.cached_tokens(Tokens{3, 4, 9}, {.salt = 0}), 0);
  EXPECT_EQ(blocks.cached_tokens(Tokens{1, 2, 1, 2, 9}, {.salt = 0}), 2);
}

TEST(BlockManager, ReleasedPrefixesStayUntilTheirMemoryIsNeeded) {
  BlockManager blocks(4, 4, true);
  BlockTable a, b, c;
  fill(blocks, a, range(0, 9));
  blocks.release(a);
  EXPECT_EQ(blocks.held(), 0);
  EXPECT_EQ(blocks.available(), 4);
  EXPECT_EQ(fill(blocks, b, range(0, 9)), 8);
  blocks.release(b);
  EXPECT_EQ(fill(blocks, c, range(100, 12)), 0);
  EXPECT_EQ(blocks.audit(std::vector<const BlockTable*>{&c}), "");
  // Two blocks were free, one had to be taken: the end of the prefix, not its start.
  EXPECT_EQ(blocks.cached_tokens(range(0, 9), {.salt = 0}), 4);
}

TEST(BlockManager, TheLongestUnusedGoesFirst) {
  BlockManager blocks(4, 2, true);
  BlockTable a, b, c;
  fill(blocks, a, {1, 1, 0});
  fill(blocks, b, {2, 2, 0});
  blocks.release(a);
  blocks.release(b);
  EXPECT_EQ(fill(blocks, a, {1, 1, 0}), 2);
  blocks.release(a);  // now b's block is the one unused for longest
  fill(blocks, c, {3, 3, 4, 4, 5});
  EXPECT_EQ(blocks.cached_tokens(Tokens{1, 1, 0}, {.salt = 0}), 2);
  EXPECT_EQ(blocks.cached_tokens(Tokens{2, 2, 0}, {.salt = 0}), 0);
}

TEST(BlockManager, AdmissionIsAllOrNothing) {
  BlockManager blocks(4, 4, true);
  BlockTable a, b;
  fill(blocks, a, range(0, 9));
  EXPECT_FALSE(blocks.admit(b, range(50, 5), true, 0));
  EXPECT_FALSE(blocks.admit(b, range(50, 4), true, 1));
  EXPECT_TRUE(b.blocks.empty());
  EXPECT_TRUE(blocks.admit(b, range(50, 4), true, 0));
  EXPECT_FALSE(blocks.grow(b, 5));
  EXPECT_EQ(b.blocks.size(), 1u);
  blocks.release(a);
  EXPECT_TRUE(blocks.grow(b, 16));
  EXPECT_EQ(blocks.available(), 0);
}

TEST(BlockManager, UnusedSharedBlocksAreNotCountedTwice) {
  BlockManager blocks(3, 4, true);
  BlockTable a, b;
  fill(blocks, a, range(0, 12));
  blocks.release(a);
  // Needs 4 blocks; two are shared and only one more is there.
  EXPECT_FALSE(blocks.admit(b, range(0, 16), true, 0));
  EXPECT_TRUE(blocks.admit(b, range(0, 12), true, 0));
  EXPECT_EQ(blocks.audit(std::vector<const BlockTable*>{&b}), "");
}

TEST(BlockManager, WithoutReuseNothingIsShared) {
  BlockManager blocks(10, 4, false);
  BlockTable a, b;
  fill(blocks, a, range(0, 9));
  EXPECT_EQ(fill(blocks, b, range(0, 9)), 0);
  EXPECT_EQ(blocks.held(), 6);
}

TEST(BlockManager, BooksHoldUnderRandomUse) {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    BlockManager blocks(1 + random() % 24, 1 + random() % 4, true);
    struct User {
      BlockTable table;
      Tokens tokens;
      std::int64_t computed = 0;
    };
    std::vector<std::unique_ptr<User>> users;
    for (int round = 0; round < 300; ++round) {
      const auto pick = users.empty() ? 0 : random() % users.size();
      switch (random() % 4) {
        case 0: {
          auto user = std::make_unique<User>();
          user->table.salt = random() % 2;
          for (auto n = 1 + random() % 20; n > 0; --n) user->tokens.push_back(random() % 2);
          const auto cached =
              blocks.admit(user->table, user->tokens, random() % 8 != 0, random() % 2);
          if (!cached) break;
          ASSERT_LT(*cached, static_cast<std::int64_t>(user->tokens.size()));
          user->computed = *cached;
          users.push_back(std::move(user));
          break;
        }
        case 1:
          if (users.empty()) break;
          blocks.release(users[pick]->table);
          users.erase(users.begin() + static_cast<std::ptrdiff_t>(pick));
          break;
        case 2: {
          if (users.empty()) break;
          User& user = *users[pick];
          if (blocks.grow(user.table, static_cast<std::int64_t>(user.tokens.size()) + 1)) {
            user.tokens.push_back(random() % 2);
          }
          break;
        }
        case 3: {
          if (users.empty()) break;
          User& user = *users[pick];
          const auto left = static_cast<std::int64_t>(user.tokens.size()) - user.computed;
          user.computed += left > 0 ? 1 + random() % left : 0;
          blocks.publish(user.table, user.tokens, user.computed);
          break;
        }
      }
      std::vector<const BlockTable*> tables;
      for (const auto& user : users) tables.push_back(&user->table);
      ASSERT_EQ(blocks.audit(tables), "") << "seed " << seed << " round " << round;
    }
  }
}

}  // namespace
}  // namespace bundle::engine
