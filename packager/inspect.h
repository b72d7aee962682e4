// `bundle inspect` and `bundle list` as documents: everything a person or a diff wants to see.
#pragma once

#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "packager/store.h"
#include "packager/store_files.h"

namespace bundle::packager {

/// name, tag, digest, content_digest, size, model facts, layers with sizes and files, runtime,
/// variants, labels. Keys come in a fixed order and nothing depends on the host.
Json inspect_bundle(const StoredBundle& bundle);

/// What refers to the bundle: kind, digest, size; of signatures the key's SHA-256, of provenance
/// the source, of quality the report.
Result<Json> inspect_referrers(const StorePaths& paths, const StoredBundle& bundle);

/// [{"name","type","shape","bytes"}] of every tensor, by name. Opens the weights.
Result<Json> inspect_tensors(const StoredBundle& bundle);

Json list_bundles(const std::vector<BundleSummary>& bundles);

}  // namespace bundle::packager
