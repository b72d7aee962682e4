// The model that `bundle size` is asked about, from wherever it is.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "cloud/catalog/catalog.h"
#include "runtime/sizing/search.h"

namespace bundle::cli {

struct SizeInput {
  sizing::SizedModel model;
  std::string source;               // "catalogue", "bundle", "folder", "GGUF file", "config.json"
  std::int64_t context_length = 0;  // that the model was made for
  std::string note;                 // of the catalogue: what is not sure
};

/// In this order: a path (a folder with weights, with bundle.yaml, or with config.json alone; a
/// .gguf; a config.json), a bundle of the store, a name of the catalogue. kNotFound names what is
/// near in both.
Result<SizeInput> size_input(const std::string& reference, const catalog::Catalog& catalog);

/// The same model in every format asked for ("any": what the runtime serves); none: as it is.
Result<std::vector<sizing::SizedModel>> in_formats(const SizeInput& input,
                                                   const std::vector<std::string>& names);

}  // namespace bundle::cli
