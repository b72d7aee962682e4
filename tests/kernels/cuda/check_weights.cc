#include "tests/kernels/cuda/check_weights.h"

#include "runtime/kernels/cuda/host/packed_weights.h"
#include "runtime/kernels/device.h"
#include "runtime/kernels/half.h"
#include "runtime/kernels/quant_block.h"

namespace bundle::kernels::cuda {
namespace {

/// Where a block's halfs lie: d, and dmin where there is one.
std::vector<int> scale_offsets(DType type) {
  switch (type) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4K:
    case DType::kQ5K:
      return {0, 2};
    case DType::kQ2K:
      return {80, 82};
    case DType::kQ3K:
      return {108};
    case DType::kQ6K:
      return {208};
    default:
      return {0};
  }
}

/// The values of a quantized row, by the formula of quant_block.h.
void widen_blocks(DType type, const std::byte* row, std::int64_t cols, float* out) {
  const DTypeInfo& info = dtype_info(type);
  const QuantTraits traits = quant_traits(type);
  QuantBlock block;
  for (std::int64_t at = 0; at < cols; at += info.block, row += info.bytes) {
    split_block(type, row, block);
    for (int i = 0; i < info.block; ++i) {
      const int group = i / traits.group;
      const int code = block.codes[static_cast<std::size_t>(i)];
      const int level =
          traits.offset < 0 ? kIq4Levels[static_cast<std::size_t>(code)] : code - traits.offset;
      const float scale = half_to_float(block.d) * block.scales[static_cast<std::size_t>(group)];
      const float min = half_to_float(block.dmin) * block.mins[static_cast<std::size_t>(group)];
      out[at + i] = scale * static_cast<float>(level) - (traits.has_min ? min : 0.0f);
    }
  }
}

void widen_row(DType type, const std::byte* row, std::int64_t cols, float* out) {
  if (is_quantized(type)) return widen_blocks(type, row, cols, out);
  for (std::int64_t c = 0; c < cols; ++c) {
    std::uint16_t narrow = 0;
    if (type == DType::kF32) {
      std::memcpy(out + c, row + 4 * c, 4);
    } else if (type == DType::kI8) {
      out[c] = static_cast<float>(static_cast<std::int8_t>(row[c]));
    } else if (type == DType::kF8E4M3) {
      out[c] = f8e4m3_to_float(static_cast<std::uint8_t>(row[c]));
    } else {
      std::memcpy(&narrow, row + 2 * c, 2);
      out[c] = type == DType::kF16 ? half_to_float(narrow) : bf16_to_float(narrow);
    }
  }
}

std::vector<std::byte> random_row(DType type, std::int64_t cols, std::mt19937& random) {
  std::vector<std::byte> row(*storage_bytes(type, cols));
  if (needs_scales(type)) {
    // Floats below 2.
    const unsigned mask = type == DType::kI8 ? 0xFFu : 0xBFu;
    for (std::byte& byte : row) byte = static_cast<std::byte>(random() & mask);
    return row;
  }
  if (!is_quantized(type)) {
    const std::vector<float> values = random_values(static_cast<std::size_t>(cols), random, 0.1f);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint16_t narrow =
          type == DType::kF16 ? float_to_half(values[i]) : float_to_bf16(values[i]);
      if (type == DType::kF32) {
        std::memcpy(&row[4 * i], &values[i], 4);
      } else {
        std::memcpy(&row[2 * i], &narrow, 2);
      }
    }
    return row;
  }
  for (std::byte& byte : row) byte = static_cast<std::byte>(random());
  std::uniform_real_distribution<float> scale(-1e-3f, 1e-3f);
  for (std::size_t at = 0; at < row.size(); at += dtype_info(type).bytes) {
    for (const int offset : scale_offsets(type)) {
      const std::uint16_t half = float_to_half(scale(random));
      std::memcpy(&row[at + static_cast<std::size_t>(offset)], &half, 2);
    }
  }
  return row;
}

}  // namespace

DeviceWeights::DeviceWeights(const Subject& subject, DType type, std::int64_t rows,
                             std::int64_t cols, std::mt19937& random)
    : DeviceWeights(subject, type, rows, cols, random, type == DType::kI8 ? 1 : 128) {}

DeviceWeights::DeviceWeights(const Subject& subject, DType type, std::int64_t rows,
                             std::int64_t cols, std::mt19937& random, std::int64_t scale_rows) {
  const PackedRow packed = *packed_row(type, cols);
  const auto count = static_cast<std::size_t>(rows);
  std::vector<std::byte> data(count * packed.data_bytes), blocks(count * packed.block_bytes),
      groups(count * packed.group_bytes);
  values_.resize(count * static_cast<std::size_t>(cols));
  for (std::size_t r = 0; r < count; ++r) {
    const std::vector<std::byte> row = random_row(type, cols, random);
    widen_row(type, row.data(), cols, values_.data() + r * static_cast<std::size_t>(cols));
    pack_row(type, row.data(), cols, data.data() + r * packed.data_bytes,
             blocks.data() + r * packed.block_bytes, groups.data() + r * packed.group_bytes);
  }
  const auto place = [&](const std::vector<std::byte>& bytes) {
    return std::make_unique<DeviceArray<std::byte>>(subject, bytes, MemoryKind::kWeights);
  };
  data_ = place(data);
  matrix_ = {packed.kind, rows, cols, packed.stride, data_->get(), packed.quant, nullptr};
  if (needs_scales(type)) add_scales(subject, random, scale_rows);
  if (packed.block_bytes > 0) matrix_.quant.blocks = (blocks_ = place(blocks))->get();
  if (packed.group_bytes > 0) matrix_.quant.groups = (groups_ = place(groups))->get();
}

/// A scale for each scale_rows x 128, and the values with it.
void DeviceWeights::add_scales(const Subject& subject, std::mt19937& random,
                               std::int64_t scale_rows) {
  const std::int64_t width = (matrix_.cols + 127) / 128;
  const std::int64_t blocks = (matrix_.rows + scale_rows - 1) / scale_rows;
  const float largest = matrix_.kind == WeightKind::kInt8 ? 0.002f : 0.2f;
  const std::vector<float> scales =
      random_values(static_cast<std::size_t>(blocks * width), random, largest);
  std::vector<std::int32_t> rows;
  for (std::int64_t r = 0; r < matrix_.rows; ++r) {
    for (std::int64_t c = 0; c < matrix_.cols; ++c) {
      values_[static_cast<std::size_t>(r * matrix_.cols + c)] *=
          scales[static_cast<std::size_t>(r / scale_rows * width + c / 128)];
    }
    rows.push_back(static_cast<std::int32_t>(r / scale_rows));
  }
  scales_ = std::make_unique<DeviceArray<float>>(subject, scales, MemoryKind::kWeights);
  matrix_.block_scales = scales_->get();
  if (scale_rows == 128) return;
  scale_rows_ = std::make_unique<DeviceArray<std::int32_t>>(subject, rows, MemoryKind::kWeights);
  matrix_.block_of_row = scale_rows_->get();
}

}  // namespace bundle::kernels::cuda
