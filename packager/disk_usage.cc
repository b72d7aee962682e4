#include "packager/disk_usage.h"

#include <algorithm>
#include <map>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/reach.h"
#include "packager/store_index.h"

namespace bundle::packager {
namespace {

std::string name_of(const IndexEntry& entry) {
  return entry.name + (entry.tag.empty() ? '@' + entry.descriptor.digest : ':' + entry.tag);
}

std::uint64_t size_of_files(const Path& folder) {
  std::uint64_t total = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    std::error_code failure;
    const std::uint64_t size = entry.file_size(failure);
    if (!failure) total += size;
  }
  return total;
}

/// The blobs of one bundle with its signatures.
Result<Reach> reach_of(const StorePaths& paths, const IndexEntry& bundle,
                       const std::vector<IndexEntry>& entries) {
  Reach reach(paths);
  BUNDLE_CHECK(reach.add(bundle.descriptor));
  for (const IndexEntry& entry : entries) {
    if (!entry.subject.empty() && reach.contains(entry.subject)) {
      BUNDLE_CHECK(reach.add(entry.descriptor));
    }
  }
  return reach;
}

std::map<std::string, std::uint64_t> blobs_on_disk(const StorePaths& paths) {
  std::map<std::string, std::uint64_t> blobs;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(paths.blobs(), error)) {
    const std::string digest = "sha256:" + entry.path().filename().string();
    std::error_code failure;
    const std::uint64_t size = entry.file_size(failure);
    if (is_valid_digest(digest) && !failure) blobs[digest] = size;
  }
  return blobs;
}

}  // namespace

Result<DiskUsage> disk_usage(const StorePaths& paths) {
  BUNDLE_TRY(const std::vector<IndexEntry> entries, read_index(paths));
  std::map<std::string, std::map<std::string, std::uint64_t>> reached;  // bundle -> its blobs
  std::map<std::string, int> users;
  for (const IndexEntry& entry : entries) {
    if (!entry.is_bundle() || reached.contains(entry.descriptor.digest)) continue;
    BUNDLE_TRY(const Reach reach, reach_of(paths, entry, entries));
    reached[entry.descriptor.digest] = reach.blobs();
    for (const auto& [digest, size] : reach.blobs()) ++users[digest];
  }
  DiskUsage usage;
  for (const IndexEntry& entry : entries) {
    if (!entry.is_bundle()) continue;
    BundleUsage bundle{name_of(entry), entry.descriptor.digest, 0, 0};
    for (const auto& [digest, size] : reached[entry.descriptor.digest]) {
      bundle.size += size;
      if (users[digest] == 1) bundle.unique += size;
    }
    usage.bundles.push_back(std::move(bundle));
  }
  for (const auto& [digest, size] : blobs_on_disk(paths)) {
    usage.total += size;
    usage.blobs.push_back(digest);
    if (!users.contains(digest)) usage.unreachable += size;
  }
  usage.unfinished = size_of_files(paths.partials());
  return usage;
}

Json to_json(const DiskUsage& usage) {
  JsonArray bundles;
  for (const BundleUsage& bundle : usage.bundles) {
    bundles.push_back(JsonObject{{"name", bundle.name},
                                 {"digest", bundle.digest},
                                 {"size", bundle.size},
                                 {"unique", bundle.unique}});
  }
  return JsonObject{{"bundles", std::move(bundles)},
                    {"total", usage.total},
                    {"unreachable", usage.unreachable},
                    {"unfinished", usage.unfinished}};
}

}  // namespace bundle::packager
