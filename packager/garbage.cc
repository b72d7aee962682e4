#include "packager/garbage.h"

#include <set>

#include "packager/reach.h"
#include "packager/store_index.h"

namespace bundle::packager {
namespace {

Status remove_unreached(const StorePaths& paths, const Reach& reach, RemoveReport& report) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(paths.blobs(), error)) {
    const std::string digest = "sha256:" + entry.path().filename().string();
    if (!is_valid_digest(digest) || reach.contains(digest)) continue;
    std::error_code failure;
    const std::uint64_t size = entry.file_size(failure);
    if (!std::filesystem::remove(entry.path(), failure)) {
      return failed("cannot delete a blob: " + failure.message(), entry.path().string());
    }
    ++report.freed_blobs;
    report.freed_bytes += size == static_cast<std::uint64_t>(-1) ? 0 : size;
  }
  if (error) return failed("cannot list the blobs: " + error.message(), paths.blobs().string());
  return {};
}

/// Referrers live as long as their subjects, which may be referrers themselves.
Status add_referrers(const StorePaths& paths, const std::vector<IndexEntry>& entries,
                     Reach& reach) {
  std::vector<const IndexEntry*> waiting;
  for (const IndexEntry& entry : entries) {
    if (!entry.subject.empty()) waiting.push_back(&entry);
  }
  for (std::size_t before = waiting.size() + 1; waiting.size() < before;) {
    before = waiting.size();
    std::vector<const IndexEntry*> rest;
    for (const IndexEntry* entry : waiting) {
      if (!reach.contains(entry->subject)) {
        rest.push_back(entry);
      } else {
        BUNDLE_CHECK(reach.add(entry->descriptor));
      }
    }
    waiting = std::move(rest);
  }
  std::set<std::string> orphans;
  for (const IndexEntry* entry : waiting) orphans.insert(entry->descriptor.digest);
  if (orphans.empty()) return {};
  return drop_from_index(paths, [&](const IndexEntry& entry) {
    return !entry.subject.empty() && !reach.contains(entry.subject) &&
           orphans.contains(entry.descriptor.digest);
  });
}

/// Files directly in a folder that only helps to go on with something.
void remove_files(const Path& folder, RemoveReport& report) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    std::error_code failure;
    const std::uint64_t size = entry.file_size(failure);
    if (std::filesystem::remove(entry.path(), failure)) report.freed_bytes += size;
  }
}

}  // namespace

Result<RemoveReport> collect_garbage(const StorePaths& paths, bool with_partials) {
  RemoveReport report;
  std::error_code error;
  if (!std::filesystem::exists(paths.own(), error)) return report;  // nothing was written yet
  BUNDLE_TRY(const auto lock, FileLock::try_exclusive(paths.blobs_lock()));
  if (!lock) {
    report.deferred = true;
    return report;
  }
  BUNDLE_TRY(const std::vector<IndexEntry> entries, read_index(paths));
  Reach reach(paths);
  for (const IndexEntry& entry : entries) {
    if (entry.subject.empty()) BUNDLE_CHECK(reach.add(entry.descriptor));
  }
  BUNDLE_CHECK(add_referrers(paths, entries, reach));
  BUNDLE_CHECK(remove_unreached(paths, reach, report));
  if (with_partials) {
    remove_files(paths.partials(), report);
    remove_files(paths.uploads(), report);
  }
  return report;
}

}  // namespace bundle::packager
