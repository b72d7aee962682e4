// How a lane reads weights of each kind: 16 bytes at a time, widened to float where they are used.
#pragma once

#include "runtime/kernels/cuda/lane/lane.h"
#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

/// A byte as a float, without the slow integer conversion: 2^23 + byte is exact in a float's last
/// bits.
BUNDLE_DEVICE float byte_float(std::uint32_t byte) {
  return bits_as<float>(0x4B000000u | byte) - 8388608.0f;
}

/// Byte i of a word, signed.
BUNDLE_DEVICE float signed_byte(std::uint32_t word, int i) {
  return bits_as<float>(0x4B000000u | (((word >> (8 * i)) & 0xFFu) ^ 0x80u)) - 8388736.0f;
}

/// The levels of IQ4's codes, four to a word.
BUNDLE_DEVICE float iq4_level(std::uint32_t code) {
  const std::uint32_t low = code & 4u ? 0xF6EADDCFu : 0xBFAD9881u;
  const std::uint32_t high = code & 4u ? 0x71594535u : 0x26190D01u;
  return signed_byte(code & 8u ? high : low, static_cast<int>(code & 3u));
}

/// Scale and minimum of the group that holds column `col`.
struct GroupScale {
  float scale;
  float min;
};

BUNDLE_DEVICE GroupScale group_scale(const DeviceMatrix& w, std::int64_t row, std::int64_t col) {
  const QuantScales& q = w.quant;
  const std::int64_t block = row * (w.cols / q.block) + col / q.block;
  const std::int64_t group = row * (w.cols / q.group) + col / q.group;
  GroupScale out{1.0f, 0.0f};
  if (q.has_min) {
    const auto d = Global<const std::uint32_t>(static_cast<const std::uint32_t*>(q.blocks))[block];
    out.scale = half_float(static_cast<std::uint16_t>(d));
    out.min = half_float(static_cast<std::uint16_t>(d >> 16));
    if (q.groups == nullptr) return out;
    const auto s = Global<const std::uint16_t>(static_cast<const std::uint16_t*>(q.groups))[group];
    out.scale *= signed_byte(s, 0);
    out.min *= byte_float(s >> 8);
    return out;
  }
  out.scale =
      half_float(Global<const std::uint16_t>(static_cast<const std::uint16_t*>(q.blocks))[block]);
  if (q.groups == nullptr) return out;
  out.scale *=
      signed_byte(Global<const std::uint8_t>(static_cast<const std::uint8_t*>(q.groups))[group], 0);
  return out;
}

/// Reader<kind>: `kColumns` neighbouring columns of one row in a Fragment, taken apart four at a
/// time by widen(fragment, piece).
template <WeightKind kKind>
struct Reader;

template <>
struct Reader<WeightKind::kF32> {
  static constexpr int kColumns = 4;
  struct Fragment {
    Floats4 values;
  };
  BUNDLE_DEVICE static Fragment load(const DeviceMatrix& w, std::int64_t row, std::int64_t col) {
    const Global<const float> data(static_cast<const float*>(w.data));
    return {data.template stream<Floats4>(row * w.stride + col)};
  }
  BUNDLE_DEVICE static Floats4 widen(const DeviceMatrix&, const Fragment& f, int) {
    return f.values;
  }
};

/// The two 16-bit kinds differ in how an element widens.
template <bool kBrain>
struct HalfReader {
  static constexpr int kColumns = 8;
  struct Fragment {
    Words4 words;
  };
  BUNDLE_DEVICE static Fragment load(const DeviceMatrix& w, std::int64_t row, std::int64_t col) {
    const Global<const std::uint16_t> data(static_cast<const std::uint16_t*>(w.data));
    return {data.template stream<Words4>(row * w.stride + col)};
  }
  BUNDLE_DEVICE static float element(std::uint32_t bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    return kBrain ? bf16_float(half) : half_float(half);
  }
  BUNDLE_DEVICE static Floats4 widen(const DeviceMatrix&, const Fragment& f, int piece) {
    const std::uint32_t a = f.words.v[2 * piece];
    const std::uint32_t b = f.words.v[2 * piece + 1];
    return {element(a & 0xFFFFu), element(a >> 16), element(b & 0xFFFFu), element(b >> 16)};
  }
};
template <>
struct Reader<WeightKind::kF16> : HalfReader<false> {};
template <>
struct Reader<WeightKind::kBF16> : HalfReader<true> {};

/// Four 8-bit floats of a word, without their scale.
BUNDLE_DEVICE Floats4 f8_floats(std::uint32_t word) {
  const Floats2 low = f8_pair(static_cast<std::uint16_t>(word));
  const Floats2 high = f8_pair(static_cast<std::uint16_t>(word >> 16));
  return {low.v[0], low.v[1], high.v[0], high.v[1]};
}

/// Where the scales of a row's blocks of 128 columns begin.
BUNDLE_DEVICE std::int64_t scales_at(const DeviceMatrix& w, std::int64_t row) {
  const std::int64_t block =
      w.block_of_row == nullptr ? row / 128 : Global<const std::int32_t>(w.block_of_row)[row];
  return block * ((w.cols + 127) / 128);
}
/// The scale of a row's block that holds column `col`.
BUNDLE_DEVICE float block_scale(const DeviceMatrix& w, std::int64_t row, std::int64_t col) {
  return Global<const float>(w.block_scales)[scales_at(w, row) + col / 128];
}

template <>
struct Reader<WeightKind::kF8> {
  static constexpr int kColumns = 16;
  struct Fragment {
    Words4 words;
    float scale;
  };
  BUNDLE_DEVICE static Fragment load(const DeviceMatrix& w, std::int64_t row, std::int64_t col) {
    const Global<const std::uint8_t> data(static_cast<const std::uint8_t*>(w.data));
    return {data.template stream<Words4>(row * w.stride + col), block_scale(w, row, col)};
  }
  /// Four weights without their scale.
  BUNDLE_DEVICE static Floats4 raw(std::uint32_t word) { return f8_floats(word); }
  /// The same as pairs of bfloat16, which holds them exactly.
  BUNDLE_DEVICE static Words2 brain(std::uint32_t word) { return f8_brain(word); }
  BUNDLE_DEVICE static Floats4 widen(const DeviceMatrix&, const Fragment& f, int piece) {
    const Floats4 v = raw(f.words.v[piece]);
    return {v.v[0] * f.scale, v.v[1] * f.scale, v.v[2] * f.scale, v.v[3] * f.scale};
  }
};

template <>
struct Reader<WeightKind::kInt8> : Reader<WeightKind::kF8> {
  BUNDLE_DEVICE static Floats4 raw(std::uint32_t word) {
    return {signed_byte(word, 0), signed_byte(word, 1), signed_byte(word, 2), signed_byte(word, 3)};
  }
  BUNDLE_DEVICE static Words2 brain(std::uint32_t word) {
    const Floats4 v = raw(word);
    return {bf16_pair(v.v[0], v.v[1]), bf16_pair(v.v[2], v.v[3])};
  }
  BUNDLE_DEVICE static Floats4 widen(const DeviceMatrix&, const Fragment& f, int piece) {
    const Floats4 v = raw(f.words.v[piece]);
    return {v.v[0] * f.scale, v.v[1] * f.scale, v.v[2] * f.scale, v.v[3] * f.scale};
  }
};

/// F8 without scales: numbers that bfloat16 holds exactly.
struct UnscaledReader {
  static constexpr int kColumns = 16;
  struct Fragment {
    Words4 words;
  };
  BUNDLE_DEVICE static Fragment load(const DeviceMatrix& w, std::int64_t row, std::int64_t col) {
    const Global<const std::uint8_t> data(static_cast<const std::uint8_t*>(w.data));
    return {data.template stream<Words4>(row * w.stride + col)};
  }
  BUNDLE_DEVICE static Floats4 widen(const DeviceMatrix&, const Fragment& f, int piece) {
    return f8_floats(f.words.v[piece]);
  }
};

template <>
struct Reader<WeightKind::kQuant8> {
  static constexpr int kColumns = 16;
  struct Fragment {
    Words4 words;
    GroupScale scale;
  };
  BUNDLE_DEVICE static Fragment load(const DeviceMatrix& w, std::int64_t row, std::int64_t col) {
    const Global<const std::uint8_t> data(static_cast<const std::uint8_t*>(w.data));
    return {data.template stream<Words4>(row * w.stride + col), group_scale(w, row, col)};
  }
  BUNDLE_DEVICE static Floats4 widen(const DeviceMatrix&, const Fragment& f, int piece) {
    const std::uint32_t word = f.words.v[piece];
    Floats4 out;
    BUNDLE_UNROLL
    for (int i = 0; i < 4; ++i) out.v[i] = fused(signed_byte(word, i), f.scale.scale, -f.scale.min);
    return out;
  }
};

template <>
struct Reader<WeightKind::kQuant4> {
  static constexpr int kColumns = 32;
  struct Fragment {
    Words4 words;
    GroupScale scales[2];  // of 16 columns each
  };
  BUNDLE_DEVICE static Fragment load(const DeviceMatrix& w, std::int64_t row, std::int64_t col) {
    const Global<const std::uint8_t> data(static_cast<const std::uint8_t*>(w.data));
    Fragment f{data.template stream<Words4>((row * w.stride + col) / 2), {}};
    f.scales[0] = f.scales[1] = group_scale(w, row, col);
    if (w.quant.group == 16) f.scales[1] = group_scale(w, row, col + 16);
    return f;
  }
  BUNDLE_DEVICE static Floats4 widen(const DeviceMatrix& w, const Fragment& f, int piece) {
    const std::uint32_t word = f.words.v[piece / 2] >> (piece % 2 * 16);
    const GroupScale& scale = f.scales[piece / 4];
    Floats4 out;
    BUNDLE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t code = (word >> (4 * i)) & 0xFu;
      const float level =
          w.quant.table ? iq4_level(code) : byte_float(code) - static_cast<float>(w.quant.offset);
      out.v[i] = fused(level, scale.scale, -scale.min);
    }
    return out;
  }
};

/// Calls body(Reader<kind>()) for the matrix's kind.
template <typename Body>
void with_reader(WeightKind kind, const Body& body) {
  switch (kind) {
    case WeightKind::kF32:
      return body(Reader<WeightKind::kF32>());
    case WeightKind::kF16:
      return body(Reader<WeightKind::kF16>());
    case WeightKind::kBF16:
      return body(Reader<WeightKind::kBF16>());
    case WeightKind::kF8:
      return body(Reader<WeightKind::kF8>());
    case WeightKind::kInt8:
      return body(Reader<WeightKind::kInt8>());
    case WeightKind::kQuant4:
      return body(Reader<WeightKind::kQuant4>());
    case WeightKind::kQuant8:
      return body(Reader<WeightKind::kQuant8>());
  }
}

}  // namespace bundle::kernels::cuda
