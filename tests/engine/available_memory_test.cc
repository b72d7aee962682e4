#include <fstream>
#include <gtest/gtest.h>

#include "runtime/engine/kv_plan.h"

namespace bundle::engine {
namespace {

/// A root folder with the files that a test writes.
class AvailableMemory : public testing::Test {
 protected:
  AvailableMemory() : root_(testing::TempDir() + "available_memory") {
    std::filesystem::remove_all(root_);
    write("proc/meminfo", "MemTotal:       24000000 kB\nMemAvailable:   10000000 kB\n");
  }
  ~AvailableMemory() override { std::filesystem::remove_all(root_); }

  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  std::uint64_t available() const { return available_memory(root_).value_or(0); }

  static constexpr std::uint64_t kHost = 10000000ull * 1024;
  Path root_;
};

TEST_F(AvailableMemory, WithoutLimitsIsTheMachines) {
  EXPECT_EQ(available(), kHost);
  write("proc/self/cgroup", "0::/user.slice\n");
  write("sys/fs/cgroup/user.slice/memory.max", "max\n");
  write("sys/fs/cgroup/user.slice/memory.current", "5000\n");
  EXPECT_EQ(available(), kHost);
}

TEST_F(AvailableMemory, AGroupsLimitLeavesWhatIsNotUsed) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/memory.max", "1000000\n");
  write("sys/fs/cgroup/a/b/memory.current", "400000\n");
  EXPECT_EQ(available(), 600000u);
  write("sys/fs/cgroup/a/b/memory.stat", "anon 100000\ninactive_file 300000\n");
  EXPECT_EQ(available(), 900000u);
}

TEST_F(AvailableMemory, AParentsLimitHoldsToo) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/memory.max", "max\n");
  write("sys/fs/cgroup/a/b/memory.current", "1\n");
  write("sys/fs/cgroup/a/memory.max", "5000\n");
  write("sys/fs/cgroup/a/memory.current", "9000\n");
  EXPECT_EQ(available(), 0u);
}

TEST_F(AvailableMemory, InAContainerTheMountIsTheGroup) {
  write("proc/self/cgroup", "0::/docker/0123456789\n");
  write("sys/fs/cgroup/memory.max", "700\n");
  write("sys/fs/cgroup/memory.current", "200\n");
  EXPECT_EQ(available(), 500u);
}

TEST_F(AvailableMemory, VersionOneCounts) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n");
  write("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1000\n");
  write("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "900\n");
  write("sys/fs/cgroup/memory/x/memory.stat", "inactive_file 1\ntotal_inactive_file 400\n");
  EXPECT_EQ(available(), 500u);
  write("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(available(), kHost);
}

TEST_F(AvailableMemory, NonsenseIsIgnored) {
  write("proc/self/cgroup", "no colons\n0:\n:::\n0::../../..\n");
  write("sys/fs/cgroup/memory.max", "-3\n");
  write("sys/fs/cgroup/memory.current", "\n");
  EXPECT_EQ(available(), kHost);
  std::filesystem::remove_all(root_);
  EXPECT_FALSE(available_memory(root_));
}

TEST(AvailableMemoryHere, IsKnown) { EXPECT_GT(available_memory().value_or(0), 1u << 20); }

}  // namespace
}  // namespace bundle::engine
