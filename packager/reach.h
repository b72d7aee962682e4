// Which blobs something in the store needs: indexes lead to manifests, manifests to configs and
// layers.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "packager/store.h"
#include "packager/store_files.h"

namespace bundle::packager {

/// A growing set of blobs. Not thread-safe.
class Reach {
 public:
  explicit Reach(const StorePaths& paths) : paths_(paths) {}

  /// Adds a blob and all that it leads to. kBadInput when a document cannot be read.
  Status add(const Descriptor& blob, int depth = 0);

  bool contains(const std::string& digest) const { return blobs_.contains(digest); }
  /// Digest -> size as its descriptor says.
  const std::map<std::string, std::uint64_t>& blobs() const { return blobs_; }

 private:
  Status add_children(const Json& document, std::string_view key, const std::string& where,
                      int depth);

  const StorePaths& paths_;
  std::map<std::string, std::uint64_t> blobs_;
};

}  // namespace bundle::packager
