// Writes GGUF v3 files for tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tests/golden/safetensors_writer.h"

namespace bundle::golden {

using GgufField = std::variant<std::uint32_t, float, bool, std::string>;

/// A whole GGUF file, aligned to 32 bytes, keys and tensors in the order given. Shapes are
/// outermost first, as elsewhere, and written the other way round.
std::string gguf_text(const std::vector<std::pair<std::string, GgufField>>& fields,
                      const std::vector<StoredTensor>& tensors);

/// Rows of floats in one of the simple block types (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0) or F32, F16,
/// BF16. The values must fill whole blocks. Plain rounding: not what a published file would do
/// best.
std::string quantize(DType type, const std::vector<float>& values);

}  // namespace bundle::golden
