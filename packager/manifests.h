// The OCI documents over a bundle's layers: an image for each kind of host, the ModelPack manifest,
// and the index that names them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "packager/documents.h"
#include "packager/store_index.h"

namespace bundle::packager {

/// Stores a document and gives its descriptor.
using PutDocument =
    std::function<Result<Descriptor>(std::string_view media_type, const Json& document)>;

struct BundleManifests {
  /// "cuda" where a layer has the backend for GPUs, "cpu" (the same without that layer), and
  /// "modelpack".
  std::vector<Variant> variants;
  Descriptor index;
};

/// `layers` from the bottom up. Both images are for one platform, and who takes a bundle by its
/// platform gets the first: the one that runs on every host.
Result<BundleManifests> write_manifests(const BundleParts& parts, const std::string& content_digest,
                                        const std::vector<StoredLayer>& layers,
                                        const PutDocument& put);

}  // namespace bundle::packager
