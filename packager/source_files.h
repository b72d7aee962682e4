// What `bundle build` was pointed at: which manifest holds, which files are the model, and which of
// them go into the bundle.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "packager/hash_cache.h"
#include "packager/manifest.h"
#include "runtime/format/source.h"

namespace bundle::packager {

/// One file to pack.
struct ChosenFile {
  format::SourceFile file;
  FileStamp stamp;  // before anything was read
  bool is_weight = false;
};

struct BuildSource {
  Path manifest_file;             // empty when there is no bundle.yaml
  Manifest manifest;              // chat_template as text
  std::vector<ChosenFile> files;  // sorted by name
  std::string fallback_name;      // from the folder's or file's name; may be ""

  format::ModelSource model() const;
};

/// Brings a model source that is no path ("hf://org/name") to this host; gives where it lies then.
using FetchSource =
    std::function<Result<Path>(const std::string& source, const Manifest& manifest)>;

/// Opens a folder with bundle.yaml, a bundle.yaml, a Hugging Face folder or a .gguf file. Refused:
/// links that lead out of the model's folder (other than into a Hugging Face cache), names that a
/// layer cannot hold, and a selection without weights.
Result<BuildSource> open_source(const Path& source, const FetchSource& fetch = {});

/// Whether a model's folder is usually packed with a file of this name.
bool is_packable(std::string_view name);

}  // namespace bundle::packager
