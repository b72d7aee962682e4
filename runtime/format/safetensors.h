// safetensors: a JSON header that lists tensors, then their bytes, without holes.
#pragma once

#include <string_view>
#include <vector>

#include "runtime/format/tensor.h"

namespace bundle::format {

/// Parses a whole file. `where` names it in errors. Refused by name: a header over 100 MB or past
/// the end, JSON that is not strict, unknown types, shapes whose size is not their data's, data
/// that overlaps, leaves holes or leaves the file (the rules of the safetensors specification).
/// The tensors' data lies in place inside `file` and may be unaligned.
Result<std::vector<TensorView>> parse_safetensors(Bytes file, std::string_view where);

}  // namespace bundle::format
