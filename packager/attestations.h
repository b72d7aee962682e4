// What a build says of a bundle besides the bundle: a bill of materials and where it came from.
// Both are referrers, outside the digest, and hold no time: the same build says the same.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "packager/store.h"

namespace bundle::packager {

inline constexpr std::string_view kSbomType = "application/vnd.cyclonedx+json";
inline constexpr std::string_view kProvenanceType = "application/vnd.in-toto+json";

/// CycloneDX 1.5: the model's files with hashes and license, the server's libraries with hashes and
/// licenses. Reads the runtime layer.
Result<Json> sbom_document(const StoredBundle& bundle);

/// In-toto statement with SLSA provenance v1. `source` is {"uri","revision","files"} of a model
/// that was fetched, or {"uri"} of a folder.
Json provenance_document(const StoredBundle& bundle, const Json& source,
                         const std::string& builder_version);

/// Attaches both to a bundle of the store.
Status attach_attestations(Store& store, const StoredBundle& bundle, const Json& source,
                           const std::string& builder_version);

}  // namespace bundle::packager
