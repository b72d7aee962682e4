// A tiny model that packs: the golden checkpoint llama_tied with a few small files beside it.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "packager/build.h"
#include "tests/golden/golden_weights.h"
#include "tests/golden/temp_folder.h"

namespace bundle::packager::sample {

/// config.json, model.safetensors, tokenizer_config.json; without the tensor `missing`.
Status write_model(const Path& folder, const std::string& missing = "");

/// Makes the folder too.
void write_text(const Path& path, std::string_view text);

/// Paths of all regular files below a folder, relative to it, sorted.
std::vector<std::string> files_below(const Path& folder);

BuildOptions no_runtime();

}  // namespace bundle::packager::sample
