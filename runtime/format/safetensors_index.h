// Which safetensors files make up a model, and which tensor the index puts into which of them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/format/source.h"

namespace bundle::format {

struct SafetensorsFiles {
  std::vector<std::string> names;
  /// Tensor -> file, of model.safetensors.index.json; empty when there is no index.
  std::map<std::string, std::string, std::less<>> weight_map;
};

/// model.safetensors; else the shards of model.safetensors.index.json; else the only .safetensors
/// file. kNotFound when the source has none; kBadInput for an index that is malformed or names a
/// file that is missing or outside the folder, and for several files without an index.
Result<SafetensorsFiles> safetensors_files(const ModelSource& source);

}  // namespace bundle::format
