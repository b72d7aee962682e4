// `bundle upgrade`: a newer server for a bundle whose model stays.
#pragma once

#include <string>

#include "base/file.h"
#include "base/progress.h"
#include "base/result.h"
#include "packager/store.h"

namespace bundle::packager {

struct UpgradeReport {
  std::string name;
  std::string tag;
  std::string from;           // digests of the index
  std::string to;             // the same as `from` when the server was this one already
  std::uint64_t written = 0;  // bytes of new blobs
  bool was_signed = false;    // the old one was: the new one needs a new signature
};

/// Replaces the runtime layer by the closure of `server` ("" takes bundle-server beside this
/// program) and moves the tag. Weights and settings stay, their blobs too; the result is the bundle
/// that a build of the same model with that server gives. The old one stays without tag until gc.
Result<UpgradeReport> upgrade(Store& store, const StoredBundle& bundle, const Path& server,
                              const Progress& progress);

}  // namespace bundle::packager
