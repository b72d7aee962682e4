// Ranks with an emulated GPU each: every call of the communicator, plainly and in a graph.
#include "runtime/kernels/cuda/host/gpu_communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

#include "runtime/kernels/cuda/emulator/emulated_collectives.h"
#include "runtime/kernels/cuda/emulator/emulated_driver.h"
#include "runtime/kernels/cuda/host/stream_wait.h"
#include "tests/comm/rank_threads.h"

namespace bundle::kernels::cuda {
namespace {

using testing::HasSubstr;

/// One rank's GPU, and its end of the group.
struct Gpu {
  explicit Gpu(comm::Communicator& host, bool ordered = false)
      : ground{*driver, stream.get(), kOps, kEmulatedCollectives, changes, ordered},
        group(GpuCommunicator::make(ground, host).value()) {}

  std::span<float> place(const std::vector<float>& values) {
    const std::size_t bytes = values.size() * sizeof(float);
    auto* memory = static_cast<float*>(driver->allocate(bytes, MemoryKind::kWork));
    driver->copy_in(stream.get(), memory, values.data(), bytes);
    return {memory, values.size()};
  }
  std::vector<float> read(std::span<const float> memory) {
    std::vector<float> values(memory.size());
    driver->copy_out(stream.get(), values.data(), memory.data(), memory.size_bytes());
    driver->wait(stream.get());
    return values;
  }

  std::unique_ptr<Driver> driver = make_emulated_driver();
  OwnedStream stream{*driver};
  std::uint64_t changes = 0;
  GroupGround ground;
  std::unique_ptr<GpuCommunicator> group;
};

std::span<std::byte> bytes(std::span<float> values) { return std::as_writable_bytes(values); }

/// Values that show in which order they were added up.
std::vector<float> terms(int rank, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = (rank % 2 == 0 ? 1e8f : 1.0f) / static_cast<float>(i % 13 + 1);
  }
  return values;
}

std::vector<float> sum_in_order(int ranks, std::size_t count) {
  std::vector<float> sum = terms(0, count);
  for (int rank = 1; rank < ranks; ++rank) {
    const std::vector<float> next = terms(rank, count);
    for (std::size_t i = 0; i < count; ++i) sum[i] += next[i];
  }
  return sum;
}

TEST(GpuCommunicator, AddsUpInTheOrderOfTheRanks) {
  for (const bool ordered : {false, true}) {
    comm::run_ranks(comm::Tie::kSharedMemory, 4, [&](comm::Communicator& host) {
      Gpu gpu(host, ordered);
      for (const std::size_t count : {std::size_t{1}, std::size_t{7168}, std::size_t{70'000}}) {
        const auto values = gpu.place(terms(host.rank(), count));
        gpu.group->all_reduce(values).value();
        EXPECT_EQ(gpu.read(values), sum_in_order(4, count)) << count;
      }
      EXPECT_TRUE(gpu.group->health());
    });
  }
}

TEST(GpuCommunicator, HandsPartsRound) {
  comm::run_ranks(comm::Tie::kSharedMemory, 3, [](comm::Communicator& host) {
    Gpu gpu(host);
    const auto own = static_cast<float>(host.rank());
    const auto part = gpu.place({own, own + 10});
    const auto all = gpu.place(std::vector<float>(6));
    gpu.group->all_gather(bytes(part), bytes(all)).value();
    EXPECT_THAT(gpu.read(all), testing::ElementsAre(0, 10, 1, 11, 2, 12));

    gpu.group->broadcast(bytes(part), 2).value();
    EXPECT_THAT(gpu.read(part), testing::ElementsAre(2, 12));
  });
}

/// Rank r sends s + 1 floats of value 10 r + s to rank s.
TEST(GpuCommunicator, ExchangesPartsOfDifferentLengths) {
  comm::run_ranks(comm::Tie::kSharedMemory, 3, [](comm::Communicator& host) {
    Gpu gpu(host);
    std::vector<Bytes> parts;
    std::vector<std::span<std::byte>> received;
    std::vector<std::span<float>> places;
    for (int other = 0; other < 3; ++other) {
      const auto value = static_cast<float>(10 * host.rank() + other);
      parts.emplace_back(
          bytes(gpu.place(std::vector<float>(static_cast<std::size_t>(other) + 1, value))));
      places.push_back(
          gpu.place(std::vector<float>(static_cast<std::size_t>(host.rank()) + 1, -1.0f)));
      received.push_back(bytes(places.back()));
    }
    gpu.group->all_to_all(parts, received).value();
    for (int other = 0; other < 3; ++other) {
      EXPECT_THAT(gpu.read(places[static_cast<std::size_t>(other)]),
                  testing::Each(static_cast<float>(10 * other + host.rank())));
    }
  });
}

TEST(GpuCommunicator, SendsAndReceivesAlongALine) {
  comm::run_ranks(comm::Tie::kSharedMemory, 3, [](comm::Communicator& host) {
    Gpu gpu(host);
    const auto values = gpu.place({1.0f, 2.0f});
    if (host.rank() > 0) gpu.group->receive(bytes(values), host.rank() - 1).value();
    std::vector<float> got = gpu.read(values);
    EXPECT_EQ(got[0], static_cast<float>(host.rank() + 1));
    got[0] += 1.0f;
    const auto next = gpu.place(got);
    if (host.rank() < 2) gpu.group->send(bytes(next), host.rank() + 1).value();
  });
}

TEST(GpuCommunicator, SubgroupsAreGroupsOfTheirOwn) {
  comm::run_ranks(comm::Tie::kSharedMemory, 4, [](comm::Communicator& host) {
    Gpu gpu(host);
    const int first = host.rank() % 2;
    const int members[] = {first, first + 2};
    const auto group = gpu.group->subgroup(members);
    ASSERT_TRUE(group->health());
    EXPECT_EQ(group->rank(), host.rank() / 2);
    const auto values = gpu.place({static_cast<float>(host.rank())});
    group->all_reduce(values).value();
    EXPECT_THAT(gpu.read(values), testing::ElementsAre(static_cast<float>(2 * first + 2)));
  });
}

TEST(GpuCommunicator, ItsWorkIsPartOfGraphs) {
  comm::run_ranks(comm::Tie::kSharedMemory, 2, [](comm::Communicator& host) {
    Gpu gpu(host);
    const auto values = gpu.place({1.0f});
    gpu.group->all_reduce(values).value();  // memory grows as far as it must
    gpu.driver->begin_capture(gpu.stream.get());
    gpu.group->all_reduce(values).value();
    const Graph graph = gpu.driver->end_capture(gpu.stream.get());
    EXPECT_THAT(gpu.read(values), testing::ElementsAre(2.0f));
    for (int i = 0; i < 3; ++i) gpu.driver->replay(graph, gpu.stream.get());
    EXPECT_THAT(gpu.read(values), testing::ElementsAre(16.0f));
    gpu.driver->free_graph(graph);
  });
}

TEST(GpuCommunicator, AnAbortEndsAllGroupsOfAllRanks) {
  comm::run_ranks(comm::Tie::kSharedMemory, 2, [](comm::Communicator& host) {
    Gpu gpu(host);
    const int both[] = {0, 1};
    const auto group = gpu.group->subgroup(both);
    const auto values = gpu.place({1.0f});
    if (host.rank() == 1) gpu.group->abort(failed("no more"));
    if (host.rank() == 0) {
      while (gpu.group->health()) {
      }
      gpu.group->abort(gpu.group->health().error());
    }
    (void)group->all_reduce(values);
    ASSERT_FALSE(group->health());
    const Status ended = gpu.group->health();
    ASSERT_FALSE(ended);
    EXPECT_THAT(ended.error().message(), HasSubstr("no more"));
  });
}

/// Where the transport is missing, every rank hears why.
TEST(GpuCommunicator, WhatCannotBeFormedIsToldToAll) {
  static const CollectiveTable kNone{[](int, GroupId*, char* problem, std::size_t size) {
                                       std::snprintf(problem, size, "there is no NCCL");
                                       return false;
                                     },
                                     nullptr};
  comm::run_ranks(comm::Tie::kSharedMemory, 2, [](comm::Communicator& host) {
    const auto driver = make_emulated_driver();
    const OwnedStream stream(*driver);
    std::uint64_t changes = 0;
    GroupGround ground{*driver, stream.get(), kOps, kNone, changes};
    const auto made = GpuCommunicator::make(ground, host);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message(), HasSubstr("there is no NCCL"));
  });
}

}  // namespace
}  // namespace bundle::kernels::cuda
