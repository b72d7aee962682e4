// From an entry of index.json to a bundle whose every part was checked.
#pragma once

#include "packager/store.h"
#include "packager/store_files.h"
#include "packager/store_index.h"

namespace bundle::packager {

/// A blob of at most `cap` bytes, checked against size and digest.
Result<std::string> read_checked_blob(const StorePaths& paths, const Descriptor& blob,
                                      std::uint64_t cap);

/// The same, parsed.
Result<Json> read_document(const StorePaths& paths, const Descriptor& blob);

/// The descriptor of a blob that is there, with the size of its file.
Result<Descriptor> describe_blob(const StorePaths& paths, std::string_view media_type,
                                 std::string_view digest);

/// Reads all documents of a bundle, checks that every layer is there with its size and its headers,
/// and finds each model file in its blob. kBadInput, saying what is wrong, when anything is.
Result<StoredBundle> load_bundle(const StorePaths& paths, const IndexEntry& entry);

/// The descriptor of the image that this host runs: the index's cpu variant.
Result<Descriptor> image_of_index(const Json& index, const std::string& where);

/// Only what a list shows; opens no layer.
BundleSummary summarize(const StorePaths& paths, const IndexEntry& entry);

}  // namespace bundle::packager
