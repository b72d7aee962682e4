#include "runtime/tokenizer/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

namespace bundle::tokenizer {
namespace {

struct Fixture {
  std::shared_ptr<Vocabulary> words = std::make_shared<Vocabulary>();
  MergeTable merges;
};

// Letters a to d and random merges of them, each a token of its own.
Fixture random_fixture(std::mt19937& random) {
  Fixture fixture;
  std::vector<std::string> spellings{"a", "b", "c", "d"};
  for (std::int32_t id = 0; id < 4; ++id)
    (void)fixture.words->set(id, spellings[static_cast<std::size_t>(id)]);
  for (std::uint32_t rank = 0; rank < 40; ++rank) {
    const auto left = static_cast<std::int32_t>(random() % spellings.size());
    const auto right = static_cast<std::int32_t>(random() % spellings.size());
    const std::string joined =
        spellings[static_cast<std::size_t>(left)] + spellings[static_cast<std::size_t>(right)];
    if (joined.size() > 12 || fixture.merges.find(left, right) != nullptr) continue;
    const auto id = static_cast<std::int32_t>(spellings.size());
    spellings.push_back(joined);
    (void)fixture.words->set(id, joined);
    fixture.merges.set(left, right, {rank, id});
  }
  fixture.words->index();
  return fixture;
}

// The definition: join the leftmost pair of the lowest rank until there is none.
std::vector<std::int32_t> naive(const MergeTable& merges, std::vector<std::int32_t> ids) {
  for (;;) {
    const Merge* best = nullptr;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const Merge* merge = merges.find(ids[i], ids[i + 1]);
      if (merge != nullptr && (best == nullptr || merge->rank < best->rank)) {
        best = merge;
        at = i;
      }
    }
    if (best == nullptr) return ids;
    ids[at] = best->id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(Bpe, ShortAndLongWordsFollowTheDefinition) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    const Fixture fixture = random_fixture(random);
    const Bpe bpe(fixture.words, fixture.merges, {.bytes = true});
    std::string word;
    std::vector<std::int32_t> letters;
    for (std::size_t i = 0, n = 1 + random() % 120; i < n; ++i) {
      letters.push_back(static_cast<std::int32_t>(random() % 4));
      word.push_back(static_cast<char>('a' + letters.back()));
    }
    std::vector<std::int32_t> ids;
    bpe.tokenize(word, ids);
    ASSERT_EQ(ids, naive(fixture.merges, letters)) << word;
  }
}

TEST(Bpe, AMegabyteInOneWordIsDoneInTime) {
  std::mt19937 random(6);
  const Fixture fixture = random_fixture(random);
  const Bpe bpe(fixture.words, fixture.merges, {.bytes = true});
  std::vector<std::int32_t> ids;
  bpe.tokenize(std::string(1'000'000, 'a'), ids);
  EXPECT_FALSE(ids.empty());
}

TEST(MergeTable, GrowsAndKeepsTheLast) {
  MergeTable table;
  for (std::int32_t i = 0; i < 5000; ++i) table.set(i, i + 1, {static_cast<std::uint32_t>(i), i});
  table.set(7, 8, {1, 99});
  EXPECT_EQ(table.find(7, 8)->id, 99);
  EXPECT_EQ(table.find(4999, 5000)->id, 4999);
  EXPECT_EQ(table.find(8, 7), nullptr);
}

TEST(BytePieces, AreReadBack) {
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(parse_byte_piece(byte_piece(static_cast<unsigned char>(byte))), byte);
  }
  for (const char* piece : {"", "<0x>", "<0xG0>", "0x00>", "<0x000>", "<0x00"}) {
    EXPECT_EQ(parse_byte_piece(piece), std::nullopt) << piece;
  }
}

}  // namespace
}  // namespace bundle::tokenizer
