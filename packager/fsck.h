// `bundle fsck`: every blob against its digest, every bundle against what it needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "packager/store_files.h"

namespace bundle::packager {

struct FsckReport {
  std::uint64_t num_blobs = 0;
  std::uint64_t num_bytes = 0;
  std::vector<std::string> damaged;  // full sentences: which blob or bundle, and what is wrong
  std::vector<std::string> removed;  // digests of damaged blobs that `repair` deleted
};

/// Hashes all blobs and opens all bundles. `repair` deletes blobs that do not have their digest, so
/// that the next build, pull or import writes them again; it waits for nobody: while another
/// process writes, nothing is deleted. An error only when the store cannot be read at all.
Result<FsckReport> fsck(const StorePaths& paths, bool repair, const Progress& progress);

Json to_json(const FsckReport& report);

}  // namespace bundle::packager
