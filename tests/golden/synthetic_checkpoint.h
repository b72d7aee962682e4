// Checkpoints of any configuration at any scale, with golden's formula for weights: written piece
// by piece, so that memory stays small however large the model.
#pragma once

#include <string>

#include "base/file.h"
#include "base/progress.h"
#include "base/result.h"

namespace bundle::golden {

/// Writes config.json and model.safetensors with every tensor of published_tensors into `folder`,
/// which is made if need be. The bytes are those that make_checkpoint writes for the same
/// configuration and seed. Progress counts bytes.
Status write_synthetic_checkpoint(const std::string& config_json, std::uint64_t seed,
                                  const Path& folder, const Progress& progress = {});

}  // namespace bundle::golden
