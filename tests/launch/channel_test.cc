#include "runtime/launch/channel.h"

#include <chrono>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace bundle::launch {
namespace {

Fd copy(const Fd& fd) { return Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)); }

ChannelFds copies(const Channel& channel) {
  const ChannelFds& fds = channel.fds();
  return {copy(fds.memory), copy(fds.supervisor_bell), copy(fds.engine_bell)};
}

/// Both ends, in one process.
struct Pair {
  Channel supervisor = *Channel::create(4096);
  Channel engine = *Channel::attach(copies(supervisor));
};

bool rings(const Channel& channel, int milliseconds) {
  pollfd bell{channel.bell(), POLLIN, 0};
  return ::poll(&bell, 1, milliseconds) == 1;
}

std::string read_text(Channel& channel) {
  std::string text(100, '\0');
  text.resize(*channel.read(std::as_writable_bytes(std::span(text))));
  return text;
}

TEST(Channel, CarriesBytesBothWays) {
  Pair pair;
  EXPECT_EQ(*pair.supervisor.write(as_bytes("request")), 7u);
  EXPECT_EQ(*pair.engine.write(as_bytes("event")), 5u);
  EXPECT_EQ(read_text(pair.engine), "request");
  EXPECT_EQ(read_text(pair.supervisor), "event");
}

TEST(Channel, RingsForSleepersOnly) {
  Pair pair;
  EXPECT_TRUE(pair.supervisor.write(as_bytes("a")));
  EXPECT_FALSE(rings(pair.engine, 0));
  read_text(pair.engine);
  EXPECT_TRUE(pair.engine.fall_asleep(true, false));
  EXPECT_TRUE(pair.supervisor.write(as_bytes("b")));
  EXPECT_TRUE(rings(pair.engine, 1000));
  pair.engine.wake_up();
  EXPECT_FALSE(rings(pair.engine, 0));
}

TEST(Channel, DoesNotSleepOverWhatIsThere) {
  Pair pair;
  EXPECT_TRUE(pair.supervisor.write(as_bytes("a")));
  EXPECT_FALSE(pair.engine.fall_asleep(true, false));
  EXPECT_FALSE(pair.supervisor.fall_asleep(false, true));  // there is room
  read_text(pair.engine);
  EXPECT_TRUE(pair.engine.fall_asleep(true, false));
}

TEST(Channel, RoomWakesAWriter) {
  Pair pair;
  const std::vector<std::byte> many(5000);
  EXPECT_EQ(*pair.engine.write(many), 4096u);
  EXPECT_TRUE(pair.engine.fall_asleep(false, true));
  read_text(pair.supervisor);
  EXPECT_TRUE(rings(pair.engine, 1000));
}

TEST(Channel, NoWakeUpIsLost) {
  Pair pair;
  constexpr int kRounds = 20000;
  std::thread engine([&] {
    int left = kRounds;
    while (left > 0) {
      std::byte byte{};
      const std::size_t n = *pair.engine.read({&byte, 1});
      left -= static_cast<int>(n);
      if (n > 0) {
        while (*pair.engine.write({&byte, 1}) == 0) {
        }
        continue;
      }
      if (pair.engine.fall_asleep(true, false)) {
        ASSERT_TRUE(rings(pair.engine, 10000)) << "slept through a message";
      }
      pair.engine.wake_up();
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    std::byte byte{1};
    ASSERT_EQ(*pair.supervisor.write({&byte, 1}), 1u);
    while (*pair.supervisor.read({&byte, 1}) == 0) {
      if (pair.supervisor.fall_asleep(true, false)) {
        ASSERT_TRUE(rings(pair.supervisor, 10000)) << "slept through an answer";
      }
      pair.supervisor.wake_up();
    }
  }
  engine.join();
}

TEST(Channel, ShowsPulseAndCounters) {
  Pair pair;
  engine::EngineStats stats;
  stats.running = 3;
  stats.waiting = 4;
  stats.kv_blocks_total = 5;
  stats.kv_blocks_used = 6;
  stats.kv_block_tokens = 7;
  stats.prompt_tokens = 8;
  stats.generated_tokens = 9;
  stats.prefix_queries = 10;
  stats.prefix_hits = 11;
  stats.preemptions = 12;
  stats.steps = 13;
  stats.max_context = 14;
  pair.engine.publish(stats);
  pair.engine.beat();
  const engine::EngineStats seen = pair.supervisor.stats();
  EXPECT_EQ(seen.running, 3);
  EXPECT_EQ(seen.waiting, 4);
  EXPECT_EQ(seen.kv_blocks_total, 5);
  EXPECT_EQ(seen.kv_blocks_used, 6);
  EXPECT_EQ(seen.kv_block_tokens, 7);
  EXPECT_EQ(seen.prompt_tokens, 8);
  EXPECT_EQ(seen.generated_tokens, 9);
  EXPECT_EQ(seen.prefix_queries, 10);
  EXPECT_EQ(seen.prefix_hits, 11);
  EXPECT_EQ(seen.preemptions, 12);
  EXPECT_EQ(seen.steps, 13);
  EXPECT_EQ(seen.max_context, 14);
  EXPECT_EQ(pair.supervisor.heartbeat(), 1u);
}

TEST(Channel, OtherMemoryIsRefused) {
  Pair pair;
  const auto attach = [&](Fd memory) {
    ChannelFds fds = copies(pair.supervisor);
    fds.memory = std::move(memory);
    return Channel::attach(std::move(fds)).has_value();
  };
  Fd small(::memfd_create("small", MFD_CLOEXEC));
  EXPECT_FALSE(attach(std::move(small)));
  Fd zeros(::memfd_create("zeros", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(zeros.get(), 1 << 20), 0);
  EXPECT_FALSE(attach(std::move(zeros)));
  EXPECT_FALSE(attach(Fd()));
  EXPECT_TRUE(attach(copy(pair.supervisor.fds().memory)));
}

TEST(Channel, ItsMemoryCannotBeCutShort) {
  Pair pair;
  EXPECT_NE(::ftruncate(pair.engine.fds().memory.get(), 0), 0);
}

}  // namespace
}  // namespace bundle::launch
