// The numbers that GGUF files use for types of metadata and of tensors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/dtype.h"

namespace bundle::format {

/// Types of metadata values, as the file numbers them.
enum class GgufType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

/// Fewest bytes of one array value of this type; 0 when there is no such type.
inline std::uint64_t wire_bytes(std::uint32_t type) {
  static constexpr std::uint64_t table[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return type < std::size(table) ? table[type] : 0;
}

/// ggml's number of a tensor type as ours; none when we do not read it.
std::optional<DType> gguf_dtype(std::uint32_t number);

/// ggml's name of a tensor type ("IQ2_XXS"), or "number 99".
std::string gguf_type_name(std::uint32_t number);

}  // namespace bundle::format
