#include "runtime/comm/shared_memory.h"

#include <atomic>
#include <csignal>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <random>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "tests/comm/rank_threads.h"

namespace bundle::comm {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

/// Numbers whose sum depends on its order.
std::vector<float> numbers(int rank, std::size_t count) {
  std::mt19937 random(static_cast<std::uint32_t>(rank * 1000 + 7));
  std::uniform_real_distribution<float> any(-1.0f, 1.0f);
  std::vector<float> values(count);
  for (float& value : values) value = any(random) * (random() % 2 == 0 ? 1e-3f : 1e3f);
  return values;
}

std::vector<float> sum_in_order(int ranks, std::size_t count) {
  std::vector<float> sum = numbers(0, count);
  for (int r = 1; r < ranks; ++r) {
    const auto part = numbers(r, count);
    for (std::size_t i = 0; i < count; ++i) sum[i] += part[i];
  }
  return sum;
}

template <typename T>
Bytes bytes(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

template <typename T>
std::span<std::byte> space(std::vector<T>& values) {
  return std::as_writable_bytes(std::span(values));
}

void check(const Status& status) {
  if (!status) throw std::runtime_error(status.error().message());
}

class SharedMemoryTest : public testing::TestWithParam<int> {
 protected:
  int ranks() const { return GetParam(); }
};

TEST_P(SharedMemoryTest, SumsInTheOrderOfTheRanks) {
  // One way, by owner, several pieces, and lengths that do not divide.
  for (const std::size_t count : {0u, 1u, 5u, 4096u, 4097u, 100'003u, 600'000u}) {
    const auto expected = sum_in_order(ranks(), count);
    run_ranks(ranks(), [&](Communicator& comm) {
      auto values = numbers(comm.rank(), count);
      check(comm.all_reduce(values));
      EXPECT_EQ(values, expected) << count << " elements on rank " << comm.rank();
    });
  }
}

TEST_P(SharedMemoryTest, AnElementsSumDoesNotDependOnWhatLiesBesideIt) {
  const std::size_t count = 50'000;
  run_ranks(ranks(), [&](Communicator& comm) {
    auto all = numbers(comm.rank(), count);
    auto tail = std::vector<float>(all.end() - 77, all.end());
    check(comm.all_reduce(all));
    check(comm.all_reduce(tail));
    EXPECT_TRUE(std::equal(tail.begin(), tail.end(), all.end() - 77));
  });
}

TEST_P(SharedMemoryTest, GathersPartsByRank) {
  for (const std::size_t count : {1u, 1000u, 90'000u}) {
    run_ranks(ranks(), [&](Communicator& comm) {
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

TEST_P(SharedMemoryTest, ExchangesPartsOfAnyLength) {
  const auto length = [](int from, int to) {
    return static_cast<std::size_t>((from * 31 + to * 17) % 5) * 30'000;
  };
  const auto fill = [](int from, int to) { return static_cast<unsigned char>(from * 16 + to); };
  run_ranks(ranks(), [&](Communicator& comm) {
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

TEST_P(SharedMemoryTest, BroadcastsFromEveryRoot) {
  run_ranks(ranks(), [&](Communicator& comm) {
    for (int root = 0; root < ranks(); ++root) {
      auto values = comm.rank() == root ? numbers(root, 70'000) : std::vector<float>(70'000);
      check(comm.broadcast(space(values), root));
      EXPECT_EQ(values, numbers(root, 70'000));
    }
  });
}

TEST_P(SharedMemoryTest, MessagesGoRound) {
  run_ranks(ranks(), [&](Communicator& comm) {
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

TEST_P(SharedMemoryTest, ABarrierHoldsEveryRank) {
  std::atomic<int> arrived = 0;
  run_ranks(ranks(), [&](Communicator& comm) {
    for (int round = 1; round <= 20; ++round) {
      ++arrived;
      check(comm.barrier());
      EXPECT_GE(arrived, round * ranks());
      check(comm.barrier());
    }
  });
}

class SubgroupTest : public SharedMemoryTest {};

TEST_P(SubgroupTest, GroupsWorkSideBySide) {
  run_ranks(ranks(), [&](Communicator& comm) {
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

/// Whatever the calls, small rings, and delays at random.
TEST_P(SharedMemoryTest, ManyCallsThroughNarrowRings) {
  auto all = make_ranks(ranks(), 64);
  std::atomic<int> delays = 0;
  run_ranks(all, [&](Communicator& comm) {
    std::mt19937 same(5), own(static_cast<std::uint32_t>(comm.rank()));
    for (int i = 0; i < 60; ++i) {
      if (own() % 8 == 0) std::this_thread::sleep_for(std::chrono::microseconds(own() % 300));
      delays += 1;
      const std::size_t count = same() % 700;
      auto values = numbers(comm.rank(), count);
      if (same() % 2 == 0) {
        check(comm.all_reduce(values));
        EXPECT_EQ(values, sum_in_order(ranks(), count));
      } else {
        const int root = static_cast<int>(same() % static_cast<unsigned>(ranks()));
        check(comm.broadcast(space(values), root));
        EXPECT_EQ(values, numbers(root, count));
      }
    }
  });
  EXPECT_EQ(delays, 60 * ranks());
}

INSTANTIATE_TEST_SUITE_P(Ranks, SharedMemoryTest, testing::Values(1, 2, 3, 4, 8));
INSTANTIATE_TEST_SUITE_P(Ranks, SubgroupTest, testing::Values(4, 8));

// Failures: every rank that waits hears of it, in bounded time, and stays failed.

class SharedMemoryFailures : public testing::Test {
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

TEST_F(SharedMemoryFailures, ARankThatLeftEndsTheOthers) {
  auto ranks = make_ranks(3);
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

TEST_F(SharedMemoryFailures, ARankThatDoesNotAnswerEndsTheOthers) {
  auto ranks = make_ranks(3, 128u << 10, {.patience = 200ms});
  const auto start = Clock::now();
  const auto ends = run_without_the_middle(ranks);
  EXPECT_LT(Clock::now() - start, 5s);
  for (const std::size_t r : {0u, 2u}) {
    ASSERT_FALSE(ends[r]);
    EXPECT_THAT(ends[r].error().message(), HasSubstr("rank 1 did not answer for 200 ms"));
  }
}

TEST_F(SharedMemoryFailures, ARankThatGivesUpSaysWhy) {
  auto ranks = make_ranks(3);
  ranks[1]->abort(bad_input("the weights are of another model", "layer 3"));
  for (const std::size_t r : {0u, 2u}) {
    const Status end = ranks[r]->await(0);
    ASSERT_FALSE(end);
    EXPECT_THAT(end.error().message(), HasSubstr("rank 1: the weights are of another model"));
    EXPECT_EQ(end.error().code, ErrorCode::kBadInput);
  }
}

TEST_F(SharedMemoryFailures, AwaitOutlastsPatienceButNotTheOther) {
  auto ranks = make_ranks(2, 128u << 10, {.patience = 50ms});
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

TEST_F(SharedMemoryFailures, RanksThatDisagreeAreTold) {
  auto ranks = make_ranks(2);
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

TEST_F(SharedMemoryFailures, BadNumbersAndForeignMemoryAreRefused) {
  EXPECT_FALSE(make_shared_memory(0));
  EXPECT_FALSE(make_shared_memory(kMostRanks + 1));
  EXPECT_FALSE(make_shared_memory(2, 100));
  const Fd memory = make_shared_memory(2).value();
  const auto first = join_shared_memory(memory, 0);
  ASSERT_TRUE(first);
  EXPECT_THAT(join_shared_memory(memory, 0).error().message(), HasSubstr("rank 0 has joined"));
  EXPECT_THAT(join_shared_memory(memory, 2).error().message(), HasSubstr("no rank 2 of 2"));
  EXPECT_FALSE(join_shared_memory(memory, -1));
  const Fd other(::memfd_create("other", MFD_CLOEXEC));
  EXPECT_FALSE(join_shared_memory(other, 0));
  ASSERT_EQ(::ftruncate(other.get(), 1 << 20), 0);
  EXPECT_EQ(join_shared_memory(other, 0).error().code, ErrorCode::kBadInput);
}

// Processes.

/// Runs `body` as rank `rank` in a child; its exit code is 0 when the body says true.
template <typename Body>
pid_t fork_rank(const Fd& memory, int rank, Body body) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  auto comm = join_shared_memory(memory, rank);
  const bool fine = comm && body(**comm);
  if (comm) comm->reset();
  ::_exit(fine ? 0 : 1);
}

bool succeeded(pid_t pid) {
  int status = 0;
  return ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(SharedMemoryProcesses, SumsAreThoseOfThreads) {
  const Fd memory = make_shared_memory(4).value();
  const auto expected = sum_in_order(4, 300'000);
  std::vector<pid_t> ranks;
  for (int r = 0; r < 4; ++r) {
    ranks.push_back(fork_rank(memory, r, [&](Communicator& comm) {
      auto values = numbers(comm.rank(), 300'000);
      return comm.all_reduce(values) && values == expected && comm.barrier();
    }));
  }
  for (const pid_t pid : ranks) EXPECT_TRUE(succeeded(pid));
}

TEST(SharedMemoryProcesses, AKilledRankEndsTheOthersAtOnce) {
  const Fd memory = make_shared_memory(3).value();
  const auto works = [](Communicator& comm) {
    std::vector<float> values(5000);
    const auto start = Clock::now();
    Status status;
    while (status && Clock::now() - start < 20s) status = comm.all_reduce(values);
    return !status && status.error().message().find("rank 1") != std::string::npos;
  };
  std::vector<pid_t> ranks;
  for (int r = 0; r < 3; ++r) ranks.push_back(fork_rank(memory, r, works));
  std::this_thread::sleep_for(200ms);
  const auto start = Clock::now();
  // It stays a zombie until the end: others must notice without anybody waiting for it.
  ASSERT_EQ(::kill(ranks[1], SIGKILL), 0);
  EXPECT_TRUE(succeeded(ranks[0]));
  EXPECT_TRUE(succeeded(ranks[2]));
  EXPECT_LT(Clock::now() - start, 3s);
  EXPECT_FALSE(succeeded(ranks[1]));
}

}  // namespace
}  // namespace bundle::comm
