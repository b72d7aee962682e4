// Garbage collection: blobs that no entry of index.json reaches.
#pragma once

#include "base/result.h"
#include "packager/store.h"
#include "packager/store_files.h"

namespace bundle::packager {

/// Deletes unreachable blobs. While a writer lives, nothing is deleted and the report says
/// deferred. kBadInput when a reachable document cannot be read: what it needs is not known, so
/// nothing may go. `with_partials` also deletes what unfinished downloads and uploads keep for the
/// next time.
Result<RemoveReport> collect_garbage(const StorePaths& paths, bool with_partials);

}  // namespace bundle::packager
