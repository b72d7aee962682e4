// Types of cached keys and values: how settings name them, and what they take.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/dtype.h"

namespace bundle {

/// Elements of a cached vector that share a scale where the cache is of kI8.
inline constexpr std::int64_t kKvScaleGroup = 32;

/// "f16", "bf16", "f32", "fp8" (F8_E4M3) or "int8" (I8); none for another name.
std::optional<DType> kv_type_named(std::string_view name);

/// Bytes of a cached vector of so many elements: beside those, kI8 has a bfloat16 scale for each
/// group of kKvScaleGroup.
std::int64_t kv_vector_bytes(DType type, std::int64_t elements);

}  // namespace bundle
