// A bundle's model in the forms of other programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "packager/store.h"

namespace bundle::packager {

/// What was written.
struct ModelExport {
  std::vector<Path> files;
  std::uint64_t size = 0;
};

/// The model's files under their own names in a new folder, as they were published, and model.sig
/// when the bundle is signed. kFailed when `folder` exists and is not empty.
Result<ModelExport> export_directory(const Store& store, const StoredBundle& bundle,
                                     const Path& folder, const Progress& progress);

/// The one .gguf file. kUsage for a model that is none, or of several files.
Result<ModelExport> export_gguf(const StoredBundle& bundle, const Path& file, bool replace,
                                const Progress& progress);

/// Blobs and manifest in an Ollama model folder ($OLLAMA_MODELS), under NAME:TAG. kUsage for a
/// model that is no single .gguf file.
Result<ModelExport> export_ollama(const StoredBundle& bundle, const Path& folder,
                                  const Progress& progress);

}  // namespace bundle::packager
