// The texts of a model's tokens, as constraints on outputs need them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "runtime/engine/constraint.h"
#include "runtime/format/checkpoint.h"

namespace bundle::launch {

/// `size` ids. Special tokens are never part of a constrained output, but for those that a form of
/// tool calls is written with. kNotFound when the model has no tokenizer.
Result<engine::ConstraintVocabulary> constraint_vocabulary(
    const format::Checkpoint& checkpoint, std::int64_t size,
    const std::vector<std::int32_t>& end_ids);

}  // namespace bundle::launch
