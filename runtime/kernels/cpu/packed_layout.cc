#include "runtime/kernels/cpu/packed_layout.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/weight_type.h"
#include "runtime/kernels/device.h"
#include "runtime/kernels/half.h"
#include "runtime/kernels/quant_block.h"

namespace bundle::kernels::cpu {
namespace {

constexpr int kQuads = 8;  // in 32 columns
constexpr std::int64_t kVector = 64;
constexpr std::int64_t kLaneBytes = 4;

/// The codes of 32 columns of one row, four in each word.
using Quads = std::array<std::uint32_t, kQuads>;

int low_bits(const QuantTraits& traits) {
  return traits.code_bits == 8 ? 8 : traits.code_bits < 4 ? 2 : 4;
}

int high_bits(const QuantTraits& traits) { return traits.code_bits - low_bits(traits); }

bool has_min_plane(const QuantTraits& traits) {
  return traits.scales && traits.has_min && !traits.nibble_scales;
}

/// Bytes of a plane with so many bits a code, for 32 columns of sixteen rows.
constexpr std::int64_t plane_bytes(int bits) { return kVector * bits; }

std::uint32_t load_word(const std::byte* at) {
  std::uint32_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

void store_word(std::byte* at, std::uint32_t word) { std::memcpy(at, &word, sizeof word); }

void store_half(std::byte* halves, std::int64_t index, std::uint16_t half) {
  std::memcpy(halves + index * 2, &half, sizeof half);
}

std::uint16_t load_half(const std::byte* halves, std::int64_t index) {
  std::uint16_t half;
  std::memcpy(&half, halves + index * 2, sizeof half);
  return half;
}

// Each writer takes one row's 32 columns; `plane` already points at the row's lane.

void write_bytes(const Quads& quads, std::byte* plane) {
  for (int i = 0; i < kQuads; ++i) store_word(plane + i * kVector, quads[i]);
}

void write_nibbles(const Quads& quads, std::byte* plane) {
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t low = quads[i] & 0x0F0F0F0Fu;
    store_word(plane + i * kVector, low | ((quads[i + 4] & 0x0F0F0F0Fu) << 4));
  }
}

void write_pairs(const Quads& quads, int shift, std::byte* plane) {
  for (int half = 0; half < 2; ++half) {
    std::uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word |= ((quads[4 * half + i] >> shift) & 0x03030303u) << (2 * i);
    store_word(plane + half * kVector, word);
  }
}

void write_bits(const Quads& quads, int shift, std::byte* plane) {
  std::uint32_t word = 0;
  for (int i = 0; i < kQuads; ++i) word |= ((quads[i] >> shift) & 0x01010101u) << i;
  store_word(plane, word);
}

void read_low(const QuantTraits& traits, const std::byte* plane, Quads& quads) {
  switch (low_bits(traits)) {
    case 8:
      for (int i = 0; i < kQuads; ++i) quads[i] = load_word(plane + i * kVector);
      return;
    case 4:
      for (int i = 0; i < kQuads; ++i)
        quads[i] = (load_word(plane + (i % 4) * kVector) >> (4 * (i / 4))) & 0x0F0F0F0Fu;
      return;
    default:
      for (int i = 0; i < kQuads; ++i)
        quads[i] = (load_word(plane + (i / 4) * kVector) >> (2 * (i % 4))) & 0x03030303u;
  }
}

void add_high(const QuantTraits& traits, const std::byte* plane, Quads& quads) {
  const int shift = low_bits(traits);
  if (high_bits(traits) == 1) {
    const std::uint32_t word = load_word(plane);
    for (int i = 0; i < kQuads; ++i) quads[i] |= ((word >> i) & 0x01010101u) << shift;
  } else if (high_bits(traits) == 2) {
    for (int i = 0; i < kQuads; ++i)
      quads[i] |= ((load_word(plane + (i / 4) * kVector) >> (2 * (i % 4))) & 0x03030303u) << shift;
  }
}

/// `unit` points at the row's lane.
void write_codes(const QuantTraits& traits, const Quads& quads, std::byte* unit) {
  const int low = low_bits(traits);
  if (low == 8) return write_bytes(quads, unit);
  if (low == 4) {
    write_nibbles(quads, unit);
  } else {
    write_pairs(quads, 0, unit);
  }
  if (high_bits(traits) == 1) write_bits(quads, low, unit + plane_bytes(low));
  if (high_bits(traits) == 2) write_pairs(quads, low, unit + plane_bytes(low));
}

/// A row of Q4_0, Q4_1 or IQ4_NL: their sixteen bytes are already four words of nibbles.
void pack_nibble_row(const PackedLayout& layout, const std::byte* row, int lane, std::byte* out) {
  const int block_bytes = dtype_info(layout.type).bytes;
  const bool has_min = quant_traits(layout.type).has_min;
  const std::byte* nibbles = row + (has_min ? 4 : 2);
  for (std::int64_t b = 0; b < layout.cols / 32; ++b) {
    store_half(out, lane, load_half(row, 0));
    if (has_min) store_half(out + layout.dmin, lane, load_half(row, 1) ^ 0x8000u);
    std::byte* codes = out + layout.units + lane * kLaneBytes;
    for (int i = 0; i < 4; ++i) store_word(codes + i * kVector, load_word(nibbles + 4 * i));
    row += block_bytes;
    nibbles += block_bytes;
    out += layout.record_bytes;
  }
}

void pack_q8_0_row(const PackedLayout& layout, const std::byte* row, int lane, std::byte* out) {
  for (std::int64_t b = 0; b < layout.cols / 32; ++b) {
    store_half(out, lane, load_half(row, 0));
    std::byte* codes = out + layout.units + lane * kLaneBytes;
    for (int i = 0; i < kQuads; ++i)
      store_word(codes + i * kVector, load_word(row + 2 + 4 * i) ^ 0x80808080u);
    row += dtype_info(DType::kQ8_0).bytes;
    out += layout.record_bytes;
  }
}

void write_group_scales(const PackedLayout& layout, const QuantTraits& traits,
                        const QuantBlock& block, int groups, int lane, std::byte* record) {
  for (int g = 0; g < groups; ++g) {
    const std::int64_t at = g * kPackRows + lane;
    const auto scale = static_cast<std::uint8_t>(block.scales[g]);
    const std::uint8_t min = block.mins[g];
    if (traits.nibble_scales) {
      record[layout.scales + at] = static_cast<std::byte>(scale | (min << 4));
      continue;
    }
    record[layout.scales + at] = static_cast<std::byte>(scale);
    if (traits.has_min) record[layout.mins + at] = static_cast<std::byte>(min);
  }
}

void pack_split_row(const PackedLayout& layout, const std::byte* row, int lane, std::byte* out) {
  const DTypeInfo& info = dtype_info(layout.type);
  const QuantTraits traits = quant_traits(layout.type);
  QuantBlock block;
  for (std::int64_t b = 0; b < layout.cols / info.block; ++b) {
    split_block(layout.type, row, block);
    store_half(out, lane, block.d);
    if (traits.has_min) store_half(out + layout.dmin, lane, block.dmin);
    if (traits.scales)
      write_group_scales(layout, traits, block, info.block / traits.group, lane, out);
    std::byte* unit = out + layout.units + lane * kLaneBytes;
    for (int at = 0; at < info.block; at += 32) {
      Quads quads;
      std::memcpy(quads.data(), block.codes.data() + at, sizeof quads);
      write_codes(traits, quads, unit);
      unit += plane_bytes(traits.code_bits);
    }
    row += info.bytes;
    out += layout.record_bytes;
  }
}

template <typename Element>
void pack_column_row(const PackedLayout& layout, const std::byte* row, int lane, std::byte* out) {
  constexpr std::int64_t kSize = sizeof(Element);
  for (std::int64_t i = 0; i < layout.cols; ++i)
    std::memcpy(out + (i * kPackRows + lane) * kSize, row + i * kSize, sizeof(Element));
}

void pack_bf16_row(const PackedLayout& layout, const std::byte* row, int lane, std::byte* out) {
  const std::int64_t pairs = layout.cols / 2;
  for (std::int64_t i = 0; i < pairs; ++i)
    std::memcpy(out + (i * kPackRows + lane) * 4, row + i * 4, 4);
  if (layout.cols % 2 != 0) std::memcpy(out + (pairs * kPackRows + lane) * 4, row + pairs * 4, 2);
}

/// Bytes of four columns of sixteen rows.
constexpr std::int64_t kQuadBytes = kVector;

/// Integers lie 128 higher.
std::uint32_t offset_of(DType type) { return type == DType::kI8 ? 0x80808080u : 0; }

void pack_scaled_row(const PackedLayout& layout, const std::byte* row, int lane, std::byte* out) {
  for (std::int64_t c = 0; c < layout.cols; c += kScaleBlock, out += layout.record_bytes) {
    std::byte* at = out + layout.units + lane * kLaneBytes;
    const std::int64_t count = std::min(kScaleBlock, layout.cols - c);
    for (std::int64_t i = 0; i < count; i += 4, at += kQuadBytes) {
      std::uint32_t word = 0;
      std::memcpy(&word, row + c + i,
                  static_cast<std::size_t>(std::min<std::int64_t>(4, count - i)));
      store_word(at, word ^ offset_of(layout.type));
    }
  }
}

float scaled_value(DType type, std::uint8_t code) {
  return type == DType::kI8 ? static_cast<float>(code) - 128.0f : f8e4m3_to_float(code);
}

void unpack_scaled_row(const PackedLayout& layout, const std::byte* block, int lane, float* out) {
  for (std::int64_t c = 0; c < layout.cols; ++c) {
    const std::byte* record = block + c / kScaleBlock * layout.record_bytes;
    float scale;
    std::memcpy(&scale, record + layout.scales + lane * kLaneBytes, sizeof scale);
    const std::int64_t i = c % kScaleBlock;
    const std::byte code = record[layout.units + i / 4 * kQuadBytes + lane * kLaneBytes + i % 4];
    out[c] = scaled_value(layout.type, static_cast<std::uint8_t>(code)) * scale;
  }
}

void pack_row(const PackedLayout& layout, const std::byte* row, int lane, std::byte* out) {
  switch (layout.type) {
    case DType::kF8E4M3:
    case DType::kI8:
      return pack_scaled_row(layout, row, lane, out);
    case DType::kF32:
      return pack_column_row<float>(layout, row, lane, out);
    case DType::kF16:
      return pack_column_row<std::uint16_t>(layout, row, lane, out);
    case DType::kBF16:
      return pack_bf16_row(layout, row, lane, out);
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kIQ4NL:
      return pack_nibble_row(layout, row, lane, out);
    case DType::kQ8_0:
      return pack_q8_0_row(layout, row, lane, out);
    default:
      return pack_split_row(layout, row, lane, out);
  }
}

void unpack_float_row(const PackedLayout& layout, const std::byte* block, int lane, float* out) {
  for (std::int64_t i = 0; i < layout.cols; ++i) {
    if (layout.type == DType::kF32) {
      std::memcpy(out + i, block + (i * kPackRows + lane) * 4, 4);
    } else if (layout.type == DType::kF16) {
      out[i] = half_to_float(load_half(block, i * kPackRows + lane));
    } else {
      out[i] = bf16_to_float(load_half(block, (i / 2 * kPackRows + lane) * 2 + i % 2));
    }
  }
}

/// 32 columns from their quads; `scale` and `min` hold one or two groups' values.
void unpack_columns(const QuantTraits& traits, const Quads& quads, const float* scale,
                    const float* min, float* out) {
  for (int i = 0; i < 32; ++i) {
    const int code = (quads[i / 4] >> (8 * (i % 4))) & 0xFF;
    const int level = traits.offset < 0 ? kIq4Levels[code] : code - traits.offset;
    const float scaled = scale[i / traits.group] * static_cast<float>(level);
    out[i] = traits.has_min ? scaled - min[i / traits.group] : scaled;
  }
}

struct GroupScale {
  float scale;
  float min;
};

GroupScale group_scale(const PackedLayout& layout, const QuantTraits& traits,
                       const std::byte* record, std::int64_t index) {
  if (!traits.scales) return {1.0f, 1.0f};
  const std::byte raw = record[layout.scales + index];
  const auto bits = static_cast<std::uint8_t>(raw);
  if (traits.nibble_scales) return {static_cast<float>(bits & 0x0F), static_cast<float>(bits >> 4)};
  const float min = traits.has_min
                        ? static_cast<float>(static_cast<std::uint8_t>(record[layout.mins + index]))
                        : 0.0f;
  return {static_cast<float>(static_cast<std::int8_t>(raw)), min};
}

void unpack_record(const PackedLayout& layout, const std::byte* record, int lane, float* out) {
  const QuantTraits traits = quant_traits(layout.type);
  const int groups = 32 / traits.group;
  const float d = half_to_float(load_half(record, lane));
  const float dmin = traits.has_min ? half_to_float(load_half(record + layout.dmin, lane)) : 0.0f;
  const std::byte* unit = record + layout.units + lane * kLaneBytes;
  for (int at = 0; at < dtype_info(layout.type).block; at += 32) {
    float scale[2];
    float min[2];
    for (int g = 0; g < groups; ++g) {
      const std::int64_t index = (at / traits.group + g) * kPackRows + lane;
      const GroupScale group = group_scale(layout, traits, record, index);
      scale[g] = d * group.scale;
      min[g] = dmin * group.min;
    }
    Quads quads;
    read_low(traits, unit, quads);
    add_high(traits, unit + plane_bytes(low_bits(traits)), quads);
    unpack_columns(traits, quads, scale, min, out + at);
    unit += plane_bytes(traits.code_bits);
  }
}

bool is_float(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

}  // namespace

bool can_pack(DType type) { return is_weight(type); }

bool needs_sums16(DType type) { return is_quantized(type) && quant_traits(type).group == 16; }

PackedLayout packed_layout(DType type, std::int64_t cols) {
  PackedLayout layout;
  layout.type = type;
  layout.cols = cols;
  if (is_float(type)) {
    const std::int64_t padded = type == DType::kBF16 ? cols + cols % 2 : cols;
    layout.stride = padded * kPackRows * dtype_info(type).bytes;
    return layout;
  }
  if (needs_scales(type)) {
    const auto bytes = [](std::int64_t columns) {
      return kPackRows * kLaneBytes + (columns + 3) / 4 * kQuadBytes;
    };
    const std::int64_t rest = cols % kScaleBlock;
    layout.units = kPackRows * kLaneBytes;
    layout.record_bytes = bytes(kScaleBlock);
    layout.stride = cols / kScaleBlock * layout.record_bytes + (rest > 0 ? bytes(rest) : 0);
    return layout;
  }
  const QuantTraits traits = quant_traits(type);
  const int block = dtype_info(type).block;
  const std::int64_t halves = 2 * kPackRows;
  const std::int64_t group_bytes = block / traits.group * kPackRows;
  layout.dmin = halves;
  layout.scales = traits.has_min ? 2 * halves : halves;
  layout.mins = layout.scales + (traits.scales ? group_bytes : 0);
  layout.units = layout.mins + (has_min_plane(traits) ? group_bytes : 0);
  layout.record_bytes = layout.units + block / 32 * plane_bytes(traits.code_bits);
  layout.stride = cols / block * layout.record_bytes;
  return layout;
}

void pack_rows(const PackedLayout& layout, const std::byte* published, std::int64_t row_bytes,
               int rows, std::byte* out) {
  for (int lane = 0; lane < rows; ++lane) pack_row(layout, published + lane * row_bytes, lane, out);
}

void pack_scales(const PackedLayout& layout, int lane, const float* scales, std::byte* block) {
  for (std::int64_t c = 0; c < layout.cols; c += kScaleBlock, block += layout.record_bytes)
    std::memcpy(block + layout.scales + lane * kLaneBytes, scales + c / kScaleBlock,
                sizeof *scales);
}

void unpack_row(const PackedLayout& layout, const std::byte* block, int lane, float* out) {
  if (needs_scales(layout.type)) return unpack_scaled_row(layout, block, lane, out);
  if (is_float(layout.type)) return unpack_float_row(layout, block, lane, out);
  const int columns = dtype_info(layout.type).block;
  for (std::int64_t at = 0; at < layout.cols; at += columns, block += layout.record_bytes)
    unpack_record(layout, block, lane, out + at);
}

}  // namespace bundle::kernels::cpu
