// `bundle du`: what the bundles of a store take on disk, shared blobs counted once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "packager/store_files.h"

namespace bundle::packager {

struct BundleUsage {
  std::string name;  // "smollm2:latest", or with digest when the tag has moved on
  std::string digest;
  std::uint64_t size = 0;    // of all its blobs
  std::uint64_t unique = 0;  // of those that no other bundle has: what rm would free
};

struct DiskUsage {
  std::vector<BundleUsage> bundles;
  std::uint64_t total = 0;         // of all blobs on disk
  std::uint64_t unreachable = 0;   // of those that no bundle needs: what gc would free
  std::uint64_t unfinished = 0;    // of downloads that were interrupted
  std::vector<std::string> blobs;  // digests of all blobs, sorted
};

/// kBadInput when a bundle's documents are damaged.
Result<DiskUsage> disk_usage(const StorePaths& paths);

Json to_json(const DiskUsage& usage);

}  // namespace bundle::packager
