// What every communicator does, whatever ties its ranks: the calls, and how they fail.
#include "runtime/comm/communicator.h"

#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>
#include <tuple>

#include "tests/comm/numbers.h"
#include "tests/comm/rank_threads.h"

namespace bundle::comm {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

/// How many ranks, and what ties them.
using Form = std::tuple<Tie, int>;

std::string text(const testing::TestParamInfo<Form>& form) {
  const auto [tie, ranks] = form.param;
  return name_of(tie) + std::to_string(ranks);
}

class CommunicatorTest : public testing::TestWithParam<Form> {
 protected:
  Tie tie() const { return std::get<0>(GetParam()); }
  int ranks() const { return std::get<1>(GetParam()); }
};

TEST_P(CommunicatorTest, SumsInTheOrderOfTheRanks) {
  // One way, by owner, several pieces, and lengths that do not divide.
  for (const std::size_t count : {0u, 1u, 5u, 4096u, 4097u, 100'003u, 600'000u}) {
    const auto expected = sum_in_order(ranks(), count);
    run_ranks(tie(), ranks(), [&](Communicator& comm) {
      auto values = numbers(comm.rank(), count);
      check(comm.all_reduce(values));
      EXPECT_EQ(values, expected) << count << " elements on rank " << comm.rank();
    });
  }
}

TEST_P(CommunicatorTest, AnElementsSumDoesNotDependOnWhatLiesBesideIt) {
  const std::size_t count = 50'000;
  run_ranks(tie(), ranks(), [&](Communicator& comm) {
    auto all = numbers(comm.rank(), count);
    auto tail = std::vector<float>(all.end() - 77, all.end());
    check(comm.all_reduce(all));
    check(comm.all_reduce(tail));
    EXPECT_TRUE(std::equal(tail.begin(), tail.end(), all.end() - 77));
  });
}

TEST_P(CommunicatorTest, GathersPartsByRank) {
  for (const std::size_t count : {1u, 1000u, 90'000u}) {
    run_ranks(tie(), ranks(), [&](Communicator& comm) {
      const auto part = numbers(comm.rank(), count);
      std::vector<float> all(count * static_cast<std::size_t>(ranks()));
      check(comm.all_gather(bytes(part), space(all)));
      for (int r = 0; r < ranks(); ++r) {
        const auto at = all.begin() + static_cast<std::ptrdiff_t>(count) * r;
        EXPECT_EQ(std::vector<float>(at, at + static_cast<std::ptrdiff_t>(count)),
                  numbers(r, count));
      }
    });
  }
}

TEST_P(CommunicatorTest, ExchangesPartsOfAnyLength) {
  const auto length = [](int from, int to) {
    return static_cast<std::size_t>((from * 31 + to * 17) % 5) * 30'000;
  };
  const auto fill = [](int from, int to) { return static_cast<unsigned char>(from * 16 + to); };
  run_ranks(tie(), ranks(), [&](Communicator& comm) {
    std::vector<std::vector<unsigned char>> parts, got;
    std::vector<Bytes> out;
    std::vector<std::span<std::byte>> in;
    for (int r = 0; r < ranks(); ++r) {
      parts.emplace_back(length(comm.rank(), r), fill(comm.rank(), r));
      got.emplace_back(length(r, comm.rank()));
    }
    for (auto& part : parts) out.push_back(bytes(part));
    for (auto& part : got) in.push_back(space(part));
    check(comm.all_to_all(out, in));
    for (int r = 0; r < ranks(); ++r) {
      const std::vector<unsigned char> expected(length(r, comm.rank()), fill(r, comm.rank()));
      EXPECT_EQ(got[static_cast<std::size_t>(r)], expected);
    }
  });
}

TEST_P(CommunicatorTest, BroadcastsFromEveryRoot) {
  run_ranks(tie(), ranks(), [&](Communicator& comm) {
    for (int root = 0; root < ranks(); ++root) {
      auto values = comm.rank() == root ? numbers(root, 70'000) : std::vector<float>(70'000);
      check(comm.broadcast(space(values), root));
      EXPECT_EQ(values, numbers(root, 70'000));
    }
  });
}

TEST_P(CommunicatorTest, MessagesGoRound) {
  run_ranks(tie(), ranks(), [&](Communicator& comm) {
    if (ranks() == 1) return;
    const int next = (comm.rank() + 1) % ranks(), last = (comm.rank() + ranks() - 1) % ranks();
    std::vector<int> token = {comm.rank()};
    for (int i = 0; i < 3 * ranks(); ++i) {
      check(comm.send(bytes(token), next));
      check(comm.await(last));
      check(comm.receive(space(token), last));
    }
    EXPECT_EQ(token[0], comm.rank());
  });
}

TEST_P(CommunicatorTest, ABarrierHoldsEveryRank) {
  std::atomic<int> arrived = 0;
  run_ranks(tie(), ranks(), [&](Communicator& comm) {
    for (int round = 1; round <= 20; ++round) {
      ++arrived;
      check(comm.barrier());
      EXPECT_GE(arrived, round * ranks());
      check(comm.barrier());
    }
  });
}

class SubgroupTest : public CommunicatorTest {};

TEST_P(SubgroupTest, GroupsWorkSideBySide) {
  run_ranks(tie(), ranks(), [&](Communicator& comm) {
    std::vector<int> same, others;  // of this rank's half; across the halves
    const int half = ranks() / 2;
    for (int r = 0; r < half; ++r) same.push_back(comm.rank() / half * half + r);
    others = {comm.rank() % half, comm.rank() % half + half};
    const auto row = comm.subgroup(same), column = comm.subgroup(others);
    EXPECT_EQ(row->size(), half);
    EXPECT_EQ(row->rank(), comm.rank() % half);
    EXPECT_EQ(column->rank(), comm.rank() / half);
    for (int i = 0; i < 10; ++i) {
      std::vector<float> values(9000, static_cast<float>(comm.rank()));
      check(row->all_reduce(values));
      check(column->all_reduce(values));
      EXPECT_EQ(values.front(), static_cast<float>(ranks() * (ranks() - 1) / 2));
      EXPECT_EQ(values.back(), values.front());
      check(comm.barrier());
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, CommunicatorTest,
                         testing::Combine(testing::Values(Tie::kSharedMemory, Tie::kTcp),
                                          testing::Values(1, 2, 3, 4, 8)),
                         text);
INSTANTIATE_TEST_SUITE_P(All, SubgroupTest,
                         testing::Combine(testing::Values(Tie::kSharedMemory, Tie::kTcp),
                                          testing::Values(4, 8)),
                         text);

// Failures: every rank that waits hears of it, in bounded time, and stays failed.

class CommunicatorFailures : public testing::TestWithParam<Tie> {
 protected:
  /// Runs ranks 0 and 2 of three; gives how they ended.
  std::vector<Status> run_without_the_middle(std::vector<std::unique_ptr<Communicator>>& ranks) {
    std::vector<Status> ends(3);
    std::vector<std::thread> threads;
    for (const std::size_t r : {0u, 2u}) {
      threads.emplace_back([&, r] {
        std::vector<float> values(20'000);
        ends[r] = ranks[r]->all_reduce(values);
      });
    }
    for (std::thread& thread : threads) thread.join();
    return ends;
  }
};

TEST_P(CommunicatorFailures, ARankThatLeftEndsTheOthers) {
  auto ranks = make_ranks(GetParam(), 3);
  ranks[1].reset();
  const auto start = Clock::now();
  const auto ends = run_without_the_middle(ranks);
  EXPECT_LT(Clock::now() - start, 2s);
  for (const std::size_t r : {0u, 2u}) {
    ASSERT_FALSE(ends[r]);
    EXPECT_THAT(ends[r].error().message(), HasSubstr("rank 1 is gone"));
    EXPECT_FALSE(ranks[r]->health());
    EXPECT_FALSE(ranks[r]->barrier()) << "a group that has failed stays so";
  }
}

TEST_P(CommunicatorFailures, ARankThatDoesNotAnswerEndsTheOthers) {
  auto ranks = make_ranks(GetParam(), 3, {.patience = 200ms});
  const auto start = Clock::now();
  const auto ends = run_without_the_middle(ranks);
  EXPECT_LT(Clock::now() - start, 5s);
  for (const std::size_t r : {0u, 2u}) {
    ASSERT_FALSE(ends[r]);
    EXPECT_THAT(ends[r].error().message(), HasSubstr("rank 1 did not answer for 200 ms"));
  }
}

TEST_P(CommunicatorFailures, ARankThatGivesUpSaysWhy) {
  auto ranks = make_ranks(GetParam(), 3);
  ranks[1]->abort(bad_input("the weights are of another model", "layer 3"));
  for (const std::size_t r : {0u, 2u}) {
    const Status end = ranks[r]->await(0);
    ASSERT_FALSE(end);
    EXPECT_THAT(end.error().message(), HasSubstr("rank 1: the weights are of another model"));
    EXPECT_EQ(end.error().code, ErrorCode::kBadInput);
  }
}

TEST_P(CommunicatorFailures, AwaitOutlastsPatienceButNotTheOther) {
  auto ranks = make_ranks(GetParam(), 2, {.patience = 50ms});
  std::thread idle([&] {
    EXPECT_TRUE(ranks[0]->await(1));
    int got = 0;
    EXPECT_TRUE(ranks[0]->receive(std::as_writable_bytes(std::span(&got, 1)), 1));
    EXPECT_EQ(got, 7);
    EXPECT_FALSE(ranks[0]->await(1));
  });
  std::this_thread::sleep_for(300ms);
  const int seven = 7;
  EXPECT_TRUE(ranks[1]->send(std::as_bytes(std::span(&seven, 1)), 0));
  ranks[1].reset();
  idle.join();
}

TEST_P(CommunicatorFailures, RanksThatDisagreeAreTold) {
  auto ranks = make_ranks(GetParam(), 2);
  std::vector<Status> ends(2);
  std::thread other([&] {
    std::vector<float> values(8);
    ends[1] = ranks[1]->all_reduce(values);
  });
  std::vector<float> part(4), all(8);
  ends[0] = ranks[0]->all_gather(bytes(part), space(all));
  other.join();
  EXPECT_FALSE(ends[0] && ends[1]);
  const std::string said = !ends[0] ? ends[0].error().message() : ends[1].error().message();
  EXPECT_THAT(said, HasSubstr("ranks disagree"));
}

/// A rank that waits for one, and cannot take what another has sent ahead, hears the other give up.
TEST_P(CommunicatorFailures, ALastWordPassesWhatNobodyTakes) {
  auto ranks = make_ranks(GetParam(), 3, {.patience = 20s});
  std::thread sender([&] {
    std::vector<float> much(4 << 20);
    const Status end = ranks[2]->send(bytes(much), 0);
    EXPECT_THAT(end.error().message(), HasSubstr("no more"));
  });
  std::this_thread::sleep_for(50ms);
  std::thread waiting([&] {
    const auto start = Clock::now();
    const Status end = ranks[0]->await(1);
    EXPECT_LT(Clock::now() - start, 5s);
    EXPECT_THAT(end.error().message(), HasSubstr("rank 1: no more"));
  });
  ranks[1]->abort(failed("no more"));
  sender.join();
  waiting.join();
}

INSTANTIATE_TEST_SUITE_P(All, CommunicatorFailures, testing::Values(Tie::kSharedMemory, Tie::kTcp),
                         [](const auto& tie) { return name_of(tie.param); });

}  // namespace
}  // namespace bundle::comm
