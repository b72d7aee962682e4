#include "runtime/kernels/quant_block.h"

#include <cstring>

namespace bundle::kernels {
namespace {

using Byte = std::uint8_t;

std::uint16_t read_u16(const Byte* at) {
  std::uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

void set_single_group(QuantBlock& out, std::uint16_t d, std::uint16_t dmin, Byte min) {
  out.d = d;
  out.dmin = dmin;
  out.scales[0] = 1;
  out.mins[0] = min;
}

/// Codes i and i + 16 share byte i.
void split_nibbles_32(const Byte* packed, Byte* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = packed[i] & 0x0F;
    codes[i + 16] = packed[i] >> 4;
  }
}

/// Bit i of a 32-bit word is bit 4 of code i.
void add_fifth_bits(const Byte* high, Byte* codes) {
  std::uint32_t bits;
  std::memcpy(&bits, high, sizeof bits);
  for (int i = 0; i < 32; ++i) codes[i] |= ((bits >> i) & 1u) << 4;
}

void split_q4_0(const Byte* in, QuantBlock& out) {
  set_single_group(out, read_u16(in), 0, 0);
  split_nibbles_32(in + 2, out.codes.data());
}

void split_q4_1(const Byte* in, QuantBlock& out) {
  set_single_group(out, read_u16(in), read_u16(in + 2) ^ 0x8000u, 1);
  split_nibbles_32(in + 4, out.codes.data());
}

void split_q5_0(const Byte* in, QuantBlock& out) {
  set_single_group(out, read_u16(in), 0, 0);
  split_nibbles_32(in + 6, out.codes.data());
  add_fifth_bits(in + 2, out.codes.data());
}

void split_q5_1(const Byte* in, QuantBlock& out) {
  set_single_group(out, read_u16(in), read_u16(in + 2) ^ 0x8000u, 1);
  split_nibbles_32(in + 8, out.codes.data());
  add_fifth_bits(in + 4, out.codes.data());
}

void split_q8_0(const Byte* in, QuantBlock& out) {
  set_single_group(out, read_u16(in), 0, 0);
  for (int i = 0; i < 32; ++i) out.codes[i] = in[2 + i] ^ 0x80u;
}

/// 256 codes of 2 bits: each half of 128 takes 32 bytes, whose bit pairs are its quarters.
void split_pairs(const Byte* packed, Byte* codes) {
  for (int half = 0; half < 2; ++half)
    for (int quarter = 0; quarter < 4; ++quarter)
      for (int i = 0; i < 32; ++i)
        codes[half * 128 + quarter * 32 + i] = (packed[half * 32 + i] >> (2 * quarter)) & 3u;
}

void split_q2_k(const Byte* in, QuantBlock& out) {
  for (int g = 0; g < 16; ++g) {
    out.scales[g] = static_cast<std::int8_t>(in[g] & 0x0F);
    out.mins[g] = in[g] >> 4;
  }
  split_pairs(in + 16, out.codes.data());
  out.d = read_u16(in + 80);
  out.dmin = read_u16(in + 82);
}

void split_q3_k(const Byte* in, QuantBlock& out) {
  const Byte* high = in;
  const Byte* scales = in + 96;
  split_pairs(in + 32, out.codes.data());
  for (int part = 0; part < 8; ++part)
    for (int i = 0; i < 32; ++i) out.codes[part * 32 + i] |= ((high[i] >> part) & 1u) << 2;
  for (int g = 0; g < 16; ++g) {
    const int low = g < 8 ? scales[g] & 0x0F : scales[g - 8] >> 4;
    const int top = (scales[8 + g % 4] >> (2 * (g / 4))) & 3;
    out.scales[g] = static_cast<std::int8_t>((low | (top << 4)) - 32);
  }
  out.mins.fill(0);
  out.d = read_u16(in + 108);
  out.dmin = 0;
}

/// Eight 6-bit scales and eight 6-bit minimums in 12 bytes, as Q4_K and Q5_K store them.
void split_k_scales(const Byte* packed, QuantBlock& out) {
  for (int g = 0; g < 4; ++g) {
    out.scales[g] = static_cast<std::int8_t>(packed[g] & 63);
    out.mins[g] = packed[g + 4] & 63;
    out.scales[g + 4] = static_cast<std::int8_t>((packed[g + 8] & 0x0F) | ((packed[g] >> 6) << 4));
    out.mins[g + 4] = static_cast<Byte>((packed[g + 8] >> 4) | ((packed[g + 4] >> 6) << 4));
  }
}

/// Each 64 codes take 32 bytes: the first 32 codes are the low nibbles.
void split_k_nibbles(const Byte* packed, Byte* codes) {
  for (int part = 0; part < 4; ++part)
    for (int i = 0; i < 32; ++i) {
      codes[part * 64 + i] = packed[part * 32 + i] & 0x0F;
      codes[part * 64 + 32 + i] = packed[part * 32 + i] >> 4;
    }
}

void split_q4_k(const Byte* in, QuantBlock& out) {
  out.d = read_u16(in);
  out.dmin = read_u16(in + 2);
  split_k_scales(in + 4, out);
  split_k_nibbles(in + 16, out.codes.data());
}

void split_q5_k(const Byte* in, QuantBlock& out) {
  out.d = read_u16(in);
  out.dmin = read_u16(in + 2);
  split_k_scales(in + 4, out);
  split_k_nibbles(in + 48, out.codes.data());
  for (int part = 0; part < 8; ++part)
    for (int i = 0; i < 32; ++i) out.codes[part * 32 + i] |= ((in[16 + i] >> part) & 1u) << 4;
}

void split_q6_k(const Byte* in, QuantBlock& out) {
  split_pairs(in + 128, out.codes.data());
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < 64; ++i) {
      const Byte low = in[half * 64 + i];
      Byte* codes = out.codes.data() + half * 128 + i;
      codes[0] = static_cast<Byte>((codes[0] << 4) | (low & 0x0F));
      codes[64] = static_cast<Byte>((codes[64] << 4) | (low >> 4));
    }
  std::memcpy(out.scales.data(), in + 192, 16);
  out.mins.fill(0);
  out.d = read_u16(in + 208);
  out.dmin = 0;
}

void split_iq4_xs(const Byte* in, QuantBlock& out) {
  out.d = read_u16(in);
  out.dmin = 0;
  const std::uint16_t high = read_u16(in + 2);
  for (int g = 0; g < 8; ++g) {
    const int low = (in[4 + g / 2] >> (4 * (g % 2))) & 0x0F;
    out.scales[g] = static_cast<std::int8_t>((low | (((high >> (2 * g)) & 3) << 4)) - 32);
    out.mins[g] = 0;
    split_nibbles_32(in + 8 + 16 * g, out.codes.data() + 32 * g);
  }
}

}  // namespace

void split_block(DType type, const std::byte* block, QuantBlock& out) {
  using Split = void (*)(const Byte*, QuantBlock&);
  static constexpr Split table[] = {split_q4_0, split_q4_1, split_q5_0, split_q5_1,
                                    split_q8_0, split_q2_k, split_q3_k, split_q4_k,
                                    split_q5_k, split_q6_k, split_q4_0, split_iq4_xs};
  table[static_cast<int>(type) - static_cast<int>(DType::kQ4_0)](
      reinterpret_cast<const Byte*>(block), out);
}

}  // namespace bundle::kernels
