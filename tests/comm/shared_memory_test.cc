#include "runtime/comm/shared_memory.h"

#include <atomic>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "tests/comm/numbers.h"
#include "tests/comm/rank_threads.h"

namespace bundle::comm {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

/// Whatever the calls, small rings, and delays at random.
class NarrowRings : public testing::TestWithParam<int> {};

TEST_P(NarrowRings, CarryManyCalls) {
  auto all = make_ranks(GetParam(), 64);
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
        EXPECT_EQ(values, sum_in_order(GetParam(), count));
      } else {
        const int root = static_cast<int>(same() % static_cast<unsigned>(GetParam()));
        check(comm.broadcast(space(values), root));
        EXPECT_EQ(values, numbers(root, count));
      }
    }
  });
  EXPECT_EQ(delays, 60 * GetParam());
}

INSTANTIATE_TEST_SUITE_P(Ranks, NarrowRings, testing::Values(1, 2, 3, 4, 8));

TEST(SharedMemory, BadNumbersAndForeignMemoryAreRefused) {
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
