#include "base/kv_type.h"

namespace bundle {
namespace {

constexpr std::int64_t kScaleBytes = 2;

struct Name {
  std::string_view name;
  DType type;
};

constexpr Name kNames[] = {{"f16", DType::kF16},
                           {"bf16", DType::kBF16},
                           {"f32", DType::kF32},
                           {"fp8", DType::kF8E4M3},
                           {"int8", DType::kI8}};

}  // namespace

std::optional<DType> kv_type_named(std::string_view name) {
  for (const Name& each : kNames) {
    if (each.name == name) return each.type;
  }
  return std::nullopt;
}

std::int64_t kv_vector_bytes(DType type, std::int64_t elements) {
  const std::int64_t bytes = elements * dtype_info(type).bytes;
  if (type != DType::kI8) return bytes;
  return bytes + (elements + kKvScaleGroup - 1) / kKvScaleGroup * kScaleBytes;
}

}  // namespace bundle
