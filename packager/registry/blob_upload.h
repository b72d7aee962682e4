// One blob into a registry: skipped when it is there, mounted when another repository has it, else
// uploaded whole or in chunks, and resumed after a break or a kill.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "packager/registry/connection.h"
#include "packager/store.h"

namespace bundle::packager::registry {

/// Where an interrupted upload goes on. Kept in a file for each blob and repository.
struct UploadOptions {
  std::uint64_t chunk_bytes = 64u << 20;  // larger blobs go in chunks of this size
  Path memory;                            // folder for unfinished uploads' locations; "" for none
  std::vector<std::string> mount_from;    // repositories of the same registry
};

enum class UploadOutcome { kThere, kMounted, kUploaded };

/// Told how many bytes more were sent; a negative count takes back what must be sent again. False
/// stops.
using UploadMeter = std::function<bool(std::int64_t more)>;

/// Uploads the file `blob` lies in. kUnreachable when the registry refuses, kInterrupted when the
/// meter stops it.
Result<UploadOutcome> upload_blob(Connection& connection, const Descriptor& blob, const Path& file,
                                  const UploadOptions& options, const UploadMeter& meter);

}  // namespace bundle::packager::registry
