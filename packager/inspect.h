// `bundle inspect` and `bundle list` as documents: everything a person or a diff wants to see.
#pragma once

#include <vector>

#include "base/json.h"
#include "packager/store.h"

namespace bundle::packager {

/// name, tag, digest, content_digest, size, model facts, layers with sizes and files, runtime,
/// variants, labels. Keys come in a fixed order and nothing depends on the host.
Json inspect_bundle(const StoredBundle& bundle);

Json list_bundles(const std::vector<BundleSummary>& bundles);

}  // namespace bundle::packager
