// A model from elsewhere, in a folder of this host, ready to be built.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "packager/registry/token_source.h"
#include "packager/sources/source_uri.h"
#include "packager/store_files.h"

namespace bundle::packager::sources {

struct FetchOptions {
  std::vector<std::string> include;  // globs over file names; empty: the usual files
  std::vector<std::string> exclude;
  int parallel = 8;
  registry::RegistryOptions registry = {};  // how to reach one
};

struct FetchedModel {
  Path path;         // a folder, or the one .gguf file, as `build` takes it
  Path folder;       // what to delete when the bundle is built
  std::string name;  // for the bundle
  Json provenance;   // {"uri", "revision", "files": [{"name","size","sha256"}]}
  /// While it is held, no other process takes or clears the folder.
  std::shared_ptr<const FileLock> lock;
};

/// Downloads below `cache`, in ranges at the same time, and checks every file against what the
/// source says of it (SHA-256, git's SHA-1, or MD5). Run again after a break, it goes on. Only
/// files directly in the named folder are taken. kUsage when a source offers several .gguf models
/// and none was named.
Result<FetchedModel> fetch_model(const SourceUri& uri, const Path& cache,
                                 const FetchOptions& options, const Progress& progress);

/// Where `bundle build` fetches to: $BUNDLE_HOME/downloads.
Path downloads_folder();

/// Bytes of what fetch_model left below `cache`: stopped downloads, and those that were kept.
std::uint64_t size_of_fetched(const Path& cache);

/// Deletes them, except those that a process works on. Returns the bytes that were freed.
std::uint64_t clear_fetched(const Path& cache);

}  // namespace bundle::packager::sources
