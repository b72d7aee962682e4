// Layers on their way into the store: files and texts in, one tar out, every byte read once and
// hashed as it is copied.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "packager/hash_cache.h"
#include "packager/runtime_pack.h"
#include "packager/store.h"
#include "packager/tar_layer.h"
#include "packager/write_session.h"

namespace bundle::packager {

/// One file of a layer: a text, or all of a file on this host.
struct LayerMember {
  std::string path;  // in the image
  unsigned mode = kPlainMode;
  std::string text = {};
  Path file = {};        // empty: `text` is the data
  FileStamp stamp = {};  // of `file` when it was checked

  std::uint64_t size() const { return file.empty() ? text.size() : stamp.size; }
};

/// A layer to be written. A weight layer has one member, which is a file.
struct LayerPlan {
  LayerRole role = LayerRole::kWeights;
  std::vector<LayerMember> members;  // sorted by path

  std::uint64_t data_size() const;
};

/// The layer of a runtime pack (runtime_pack.h).
Result<LayerPlan> runtime_plan(const std::vector<PackFile>& files);

struct WrittenLayer {
  Descriptor descriptor;
  std::vector<std::string> sha256;  // of each member, 64 hex digits
  bool reused = false;              // the store had it already
};

/// Tells of the work on all layers together; false asks to stop.
using ByteMeter = std::function<bool(std::string_view stage, std::uint64_t more)>;

/// Writes one layer. kInterrupted when the meter says so; kBadInput when a file is not what it was
/// when it was checked. Files that the cache knows, in a layer that the store has, are not read.
Result<WrittenLayer> write_layer(const LayerPlan& plan, WriteSession& session, HashCache& cache,
                                 const ByteMeter& meter);

}  // namespace bundle::packager
