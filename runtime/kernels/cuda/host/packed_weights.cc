#include "runtime/kernels/cuda/host/packed_weights.h"

#include <cstring>

#include "runtime/kernels/quant_block.h"

namespace bundle::kernels::cuda {
namespace {

constexpr std::int64_t kRowAlignment = 16;

std::int64_t rounded(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

PackedRow plain_row(WeightKind kind, std::int64_t cols, std::int64_t bytes) {
  PackedRow row;
  row.kind = kind;
  row.stride = rounded(cols, kRowAlignment / bytes);
  row.data_bytes = static_cast<std::size_t>(row.stride * bytes);
  return row;
}

PackedRow quantized_row(DType type, std::int64_t cols) {
  const QuantTraits traits = quant_traits(type);
  PackedRow row;
  row.kind = traits.code_bits <= 4 ? WeightKind::kQuant4 : WeightKind::kQuant8;
  row.stride = cols;
  row.data_bytes = static_cast<std::size_t>(row.kind == WeightKind::kQuant4 ? cols / 2 : cols);
  row.quant.block = dtype_info(type).block;
  row.quant.group = traits.scales ? traits.group : row.quant.block;
  row.quant.has_min = traits.has_min;
  row.quant.table = traits.offset < 0;
  row.quant.offset = traits.offset < 0 ? 0 : traits.offset;
  const std::size_t width = traits.has_min ? 2 : 1;
  row.block_bytes = static_cast<std::size_t>(cols / row.quant.block) * 2 * width;
  if (traits.scales) {
    row.group_bytes = static_cast<std::size_t>(cols / row.quant.group) * width;
  }
  return row;
}

/// Writes the codes of one block; `first` is its first column.
void pack_codes(const QuantTraits& traits, const QuantBlock& block, int count, std::int64_t first,
                std::byte* data) {
  if (traits.code_bits > 4) {
    for (int i = 0; i < count; ++i) data[first + i] = std::byte(block.codes[i] - traits.offset);
    return;
  }
  for (int i = 0; i < count; i += 2) {
    data[(first + i) / 2] = std::byte(block.codes[i] | block.codes[i + 1] << 4);
  }
}

void pack_groups(const QuantTraits& traits, const QuantBlock& block, int count, std::byte* groups) {
  for (int g = 0; g < count; ++g) {
    if (traits.has_min) {
      groups[2 * g] = std::byte(block.scales[g]);
      groups[2 * g + 1] = std::byte(block.mins[g]);
    } else {
      groups[g] = std::byte(block.scales[g]);
    }
  }
}

}  // namespace

std::optional<PackedRow> packed_row(DType type, std::int64_t cols) {
  if (cols <= 0 || !storage_bytes(type, cols)) return std::nullopt;
  switch (type) {
    case DType::kF32:
      return plain_row(WeightKind::kF32, cols, 4);
    case DType::kF16:
      return plain_row(WeightKind::kF16, cols, 2);
    case DType::kBF16:
      return plain_row(WeightKind::kBF16, cols, 2);
    case DType::kF8E4M3:
      return plain_row(WeightKind::kF8, cols, 1);
    case DType::kI8:
      return plain_row(WeightKind::kInt8, cols, 1);
    default:
      if (!is_quantized(type)) return std::nullopt;
      return quantized_row(type, cols);
  }
}

void pack_row(DType type, const std::byte* row, std::int64_t cols, std::byte* data,
              std::byte* blocks, std::byte* groups) {
  const PackedRow packed = *packed_row(type, cols);
  if (!is_quantized(type)) {
    const std::size_t bytes = *storage_bytes(type, cols);
    std::memcpy(data, row, bytes);
    std::memset(data + bytes, 0, packed.data_bytes - bytes);
    return;
  }
  const QuantTraits traits = quant_traits(type);
  const DTypeInfo& info = dtype_info(type);
  const int group_count = info.block / packed.quant.group;
  QuantBlock block;
  for (std::int64_t b = 0; b < cols / info.block; ++b) {
    split_block(type, row + b * info.bytes, block);
    pack_codes(traits, block, info.block, b * info.block, data);
    const std::uint16_t pair[2] = {block.d, block.dmin};
    const std::size_t pair_bytes = traits.has_min ? 4 : 2;
    std::memcpy(blocks + static_cast<std::size_t>(b) * pair_bytes, pair, pair_bytes);
    if (!traits.scales) continue;
    const std::size_t width = traits.has_min ? 2 : 1;
    pack_groups(traits, block, group_count,
                groups + static_cast<std::size_t>(b * group_count) * width);
  }
}

}  // namespace bundle::kernels::cuda
