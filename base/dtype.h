// Element types of tensors, plain and block-quantized, with their storage sizes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bundle {

/// Element type of a stored tensor. Block-quantized kinds have ggml's layouts.
enum class DType : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kF64,
  kI8,
  kI16,
  kI32,
  kI64,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2K,
  kQ3K,
  kQ4K,
  kQ5K,
  kQ6K,
  kIQ4NL,
  kIQ4XS,
};

/// Storage of one kind: `block` consecutive elements of a row take `bytes` bytes.
struct DTypeInfo {
  std::string_view name;
  int block;
  int bytes;
};

const DTypeInfo& dtype_info(DType type);

/// Bytes of `elements` consecutive elements; none when they do not fill whole blocks, when
/// `elements` is negative, or when the product overflows.
std::optional<std::uint64_t> storage_bytes(DType type, std::int64_t elements);

inline bool is_quantized(DType type) { return type >= DType::kQ4_0; }

/// Whether weights of the type are numbers only together with scales that are stored beside them.
inline bool needs_scales(DType type) { return type == DType::kF8E4M3 || type == DType::kI8; }

/// Kernels take I8 weights so many columns at a time: rows are of a multiple of it.
inline constexpr std::int64_t kInt8Columns = 32;

}  // namespace bundle
