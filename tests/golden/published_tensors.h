// The tensors that a published checkpoint of a configuration has.
#pragma once

#include <string_view>
#include <vector>

#include "tests/golden/golden_weights.h"

namespace bundle::golden {

/// Names, types and shapes by name, for the text of any config.json that the project reads: BF16,
/// FP8 blocks with scales where the configuration says so, experts one by one, prediction (MTP)
/// layers behind the others.
Result<std::vector<TensorSpec>> published_tensors(std::string_view config_json);

}  // namespace bundle::golden
