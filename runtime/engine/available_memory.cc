#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "runtime/engine/kv_plan.h"

namespace bundle::engine {
namespace {

using Amount = std::optional<std::uint64_t>;

Amount parse(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

Amount read_number(const Path& path) {
  const auto text = read_file(path, 4096);
  return text ? parse(*text) : std::nullopt;
}

/// The number after `key` and blanks at the start of a line.
Amount read_entry(const Path& path, std::string_view key) {
  const auto text = read_file(path, 1u << 20);
  if (!text) return std::nullopt;
  std::string_view rest = *text;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (!line.starts_with(key)) continue;
    line.remove_prefix(key.size());
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(" \t")));
    return parse(line);
  }
  return std::nullopt;
}

/// Names of one kind of control group's files.
struct CgroupFiles {
  const char* limit;
  const char* usage;
  const char* reclaimable;  // page cache that goes when memory is needed, a line of memory.stat
};
constexpr CgroupFiles kV2{"memory.max", "memory.current", "inactive_file "};
constexpr CgroupFiles kV1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "};

Amount left_in(const Path& folder, const CgroupFiles& files) {
  const Amount limit = read_number(folder / files.limit);
  const Amount usage = read_number(folder / files.usage);
  if (!limit || !usage) return std::nullopt;
  const std::uint64_t freed = read_entry(folder / "memory.stat", files.reclaimable).value_or(0);
  const std::uint64_t used = *usage - std::min(*usage, freed);
  return *limit - std::min(*limit, used);
}

void keep_least(Amount& least, Amount other) {
  if (other) least = least ? std::min(*least, *other) : *other;
}

/// A limit holds for all groups below the one that has it. Inside a container the path may name
/// folders that only the host sees: the mount's root is then our own group.
void walk_up(Amount& least, const Path& mount, std::string_view group, const CgroupFiles& files) {
  Path relative = Path(group).relative_path();
  for (; !relative.empty(); relative = relative.parent_path()) {
    keep_least(least, left_in(mount / relative, files));
  }
  keep_least(least, left_in(mount, files));
}

/// /proc/self/cgroup has a line "0::/path" for v2, and "N:memory:/path" for v1's memory controller.
void read_cgroups(Amount& least, const Path& root) {
  const auto text = read_file(root / "proc/self/cgroup", 1u << 20);
  if (!text) return;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) continue;
    const std::string controllers =
        "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    const std::string_view group = line.substr(second + 1);
    if (controllers == ",,") walk_up(least, root / "sys/fs/cgroup", group, kV2);
    if (controllers.find(",memory,") != controllers.npos) {
      walk_up(least, root / "sys/fs/cgroup/memory", group, kV1);
    }
  }
}

}  // namespace

std::optional<std::uint64_t> available_memory(const Path& root) {
  Amount least;
  if (const Amount kib = read_entry(root / "proc/meminfo", "MemAvailable:")) least = *kib * 1024;
  read_cgroups(least, root);
  return least;
}

}  // namespace bundle::engine
