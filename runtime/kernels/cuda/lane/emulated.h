// The thin layer as ordinary C++ over the emulator. See lane.h.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "runtime/kernels/cuda/emulator/block.h"
#include "runtime/kernels/cuda/emulator/stream.h"
#include "runtime/kernels/half.h"

#define BUNDLE_DEVICE inline
#define BUNDLE_KERNEL(threads, blocks) static void
#define BUNDLE_UNROLL

namespace bundle::kernels::cuda {

using Where = std::source_location;

inline int thread_index() { return static_cast<int>(emulator::machine().thread_index()); }
inline int lane_index() { return thread_index() % kWarp; }
inline int warp_index() { return thread_index() / kWarp; }
inline int block_threads() { return static_cast<int>(emulator::machine().shape().threads); }
inline int block_x() { return static_cast<int>(emulator::machine().block_index().x); }
inline int block_y() { return static_cast<int>(emulator::machine().block_index().y); }
inline int block_z() { return static_cast<int>(emulator::machine().block_index().z); }
inline int grid_x() { return static_cast<int>(emulator::machine().shape().grid.x); }

inline void sync_block(Where where = Where::current()) { emulator::machine().barrier(where); }
inline void sync_warp(Where where = Where::current()) { emulator::machine().warp_barrier(where); }

template <typename T>
T shuffle_from(T value, int lane, Where where = Where::current()) {
  const auto& slots = emulator::machine().exchange(&value, sizeof(T), where);
  T other;
  std::memcpy(&other, slots[static_cast<std::size_t>(lane)].data(), sizeof(T));
  return other;
}

template <typename T>
T shuffle_xor(T value, int mask, Where where = Where::current()) {
  return shuffle_from(value, lane_index() ^ mask, where);
}

inline void wait_for_previous() { emulator::machine().wait_for_previous(); }
inline void allow_next() {}

/// An element's number, and where it was asked for: an operator has no room for that.
struct Index {
  std::int64_t value;
  Where where;

  Index(std::int64_t i, Where at = Where::current()) : value(i), where(at) {}
};

/// Device memory. Indices count elements.
template <typename T>
class Global {
 public:
  explicit Global(T* start) : start_(start) {}
  explicit operator bool() const { return start_ != nullptr; }

  std::remove_const_t<T> operator[](Index i) const { return get(i.value, i.where); }
  std::remove_const_t<T> get(std::int64_t i, Where where = Where::current()) const {
    emulator::machine().read_global(start_ + i, sizeof(T), where);
    return start_[i];
  }
  void put(std::int64_t i, T value, Where where = Where::current()) const {
    emulator::machine().write_global(start_ + i, sizeof(T), where);
    start_[i] = value;
  }
  template <typename V>
  V load(std::int64_t i, Where where = Where::current()) const {
    emulator::machine().read_global(start_ + i, sizeof(V), where);
    V value;
    std::memcpy(&value, start_ + i, sizeof(V));
    return value;
  }
  /// The same, of what is read once: keeps it out of the nearest cache.
  template <typename V>
  V stream(std::int64_t i, Where where = Where::current()) const {
    return load<V>(i, where);
  }
  template <typename V>
  void store(std::int64_t i, const V& value, Where where = Where::current()) const {
    emulator::machine().write_global(start_ + i, sizeof(V), where);
    std::memcpy(start_ + i, &value, sizeof(V));
  }
  T* at(std::int64_t i) const { return start_ + i; }

 private:
  T* start_;
};

/// The block's shared memory from byte `offset` on. Indices count elements.
template <typename T>
class Shared {
 public:
  explicit Shared(std::size_t offset) : offset_(offset) {}

  T operator[](Index i) const { return load<T>(i.value, i.where); }
  void put(std::int64_t i, T value, Where where = Where::current()) const {
    store(i, value, where);
  }
  template <typename V>
  V load(std::int64_t i, Where where = Where::current()) const {
    V value;
    std::memcpy(&value, emulator::machine().read_shared(at(i), sizeof(V), where), sizeof(V));
    return value;
  }
  template <typename V>
  void store(std::int64_t i, const V& value, Where where = Where::current()) const {
    std::memcpy(emulator::machine().write_shared(at(i), sizeof(V), where), &value, sizeof(V));
  }
  std::size_t at(std::int64_t i) const { return offset_ + static_cast<std::size_t>(i) * sizeof(T); }

 private:
  std::size_t offset_;
};

/// 16 bytes from device memory to shared memory, defined once wait_copies() says so (and, for other
/// threads, after a barrier).
template <typename T, typename U>
void copy_async(Shared<T> to, std::int64_t i, Global<const U> from, std::int64_t j,
                Where where = Where::current()) {
  emulator::machine().copy_later(to.at(i), from.at(j), where);
}
/// 16 bytes of zeros, as one of the copies under way. `any` is a place in device memory.
template <typename T, typename U>
void zero_async(Shared<T> to, std::int64_t i, Global<const U>, Where where = Where::current()) {
  to.template store<Words4>(i, Words4{}, where);
}
/// 16 bytes, or zeros where they are not `there`; then `from` is not read.
template <typename T, typename U>
void copy_async_where(Shared<T> to, std::int64_t i, Global<const U> from, std::int64_t j,
                      bool there, Where where = Where::current()) {
  if (there) return copy_async(to, i, from, j, where);
  to.template store<Words4>(i, Words4{}, where);
}
inline void commit_copies() { emulator::machine().commit_copies(); }
/// Until at most `kPending` of this thread's committed groups are under way.
template <int kPending>
void wait_copies(Where where = Where::current()) {
  emulator::machine().wait_copies(kPending, where);
}

template <typename To, typename From>
To bits_as(From value) {
  return std::bit_cast<To>(value);
}

inline float half_float(std::uint16_t bits) { return half_to_float(bits); }
inline float bf16_float(std::uint16_t bits) { return bf16_to_float(bits); }
inline std::uint16_t float_half(float value) { return float_to_half(value); }
inline std::uint16_t float_bf16(float value) { return float_to_bf16(value); }
inline std::uint32_t bf16_pair(float low, float high) {
  return float_to_bf16(low) | static_cast<std::uint32_t>(float_to_bf16(high)) << 16;
}
/// Four 8-bit floats as pairs of bfloat16, exactly. Not for NaN.
inline Words2 f8_brain(std::uint32_t word) {
  Words2 out{};
  for (int i = 0; i < 4; ++i) {
    const float value = f8e4m3_to_float(static_cast<std::uint8_t>(word >> (8 * i)));
    out.v[i / 2] |= static_cast<std::uint32_t>(float_to_bf16(value)) << (i % 2 * 16);
  }
  return out;
}
inline Floats2 f8_pair(std::uint16_t bits) {
  return {f8e4m3_to_float(static_cast<std::uint8_t>(bits)),
          f8e4m3_to_float(static_cast<std::uint8_t>(bits >> 8))};
}
inline float exp_fast(float x) { return std::exp(x); }
inline float log_fast(float x) { return std::log(x); }
inline float rsqrt_fast(float x) { return 1.0f / std::sqrt(x); }
inline float divide_fast(float a, float b) { return a / b; }
inline float fused(float a, float b, float c) { return std::fma(a, b, c); }
inline float times(float a, float b) { return a * b; }
inline float plus(float a, float b) { return a + b; }
inline float round_even(float x) { return std::nearbyint(x); }
inline float largest(float a, float b) { return a > b ? a : b; }
inline float smallest(float a, float b) { return a < b ? a : b; }

/// d (16, 8) += a (16, 16) · b (16, 8) in bfloat16, summed in float. Element pairs lie where PTX's
/// mma.m16n8k16 has them: with g = lane / 4 and t = lane % 4, a holds rows g, g+8, g, g+8 of
/// columns 2t, 2t, 2t+8, 2t+8; b holds rows 2t and 2t+8 of column g; d holds columns 2t of rows g,
/// g+8.
inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                     Where where = Where::current()) {
  struct Mine {
    std::uint32_t a[4], b[2];
  } mine;
  std::memcpy(mine.a, a, sizeof(a));
  std::memcpy(mine.b, b, sizeof(b));
  const auto& slots = emulator::machine().exchange(&mine, sizeof(mine), where);
  const auto of = [&](int lane) -> const Mine& {
    return *reinterpret_cast<const Mine*>(slots[static_cast<std::size_t>(lane)].data());
  };
  const auto part = [](std::uint32_t pair, int odd) {
    return bf16_to_float(static_cast<std::uint16_t>(odd != 0 ? pair >> 16 : pair));
  };
  const int g = lane_index() / 4;
  const int t = lane_index() % 4;
  for (int i = 0; i < 4; ++i) {
    const int below = i / 2;  // rows g + 8
    const int column = 2 * t + i % 2;
    float sum = d[i];
    for (int k = 0; k < 16; ++k) {
      const Mine& row = of(g * 4 + k % 8 / 2);
      const Mine& col = of(column * 4 + k % 8 / 2);
      sum += part(row.a[k / 8 * 2 + below], k % 2) * part(col.b[k / 8], k % 2);
    }
    d[i] = sum;
  }
}

inline void begin_products() {}
inline void commit_products() { emulator::machine().commit_products(); }
template <int kPending>
void wait_products() {
  emulator::machine().wait_products(kPending);
}

/// Columns 16 step … 16 step + 15 of a plane's row.
inline void read_plane(Shared<std::uint32_t> plane, int row, int step, float (&to)[16],
                       Where where) {
  for (int piece = 0; piece < 2; ++piece) {
    const auto words = plane.template load<Words4>(4 * plane_piece(row, 2 * step + piece), where);
    for (int i = 0; i < 8; ++i) {
      const std::uint32_t word = words.v[i / 2];
      to[8 * piece + i] = bf16_to_float(static_cast<std::uint16_t>(i % 2 != 0 ? word >> 16 : word));
    }
  }
}

/// What a thread of the group sums up: with g = lane / 4 and t = lane % 4, rows g and g + 8 of its
/// warp's 16, columns 2t and 2t + 1 of each 8: sums[4j], [4j + 1] are of row g, the next two of
/// row g + 8.
template <int kN>
void sum_products(float (&sums)[kN / 2], const float (&a)[2][16], Shared<std::uint32_t> b, int step,
                  bool add, Where where) {
  for (int n = 0; n < kN; ++n) {
    if (n % 8 / 2 != lane_index() % 4) continue;
    float col[16];
    read_plane(b, n, step, col, where);
    for (int half = 0; half < 2; ++half) {
      float& sum = sums[n / 8 * 4 + half * 2 + n % 2];
      float total = add ? sum : 0.0f;
      for (int k = 0; k < 16; ++k) total += a[half][k] * col[k];
      sum = total;
    }
  }
}

/// sums (64, kN) = a bᵀ, or += with `add`, over 16 columns: of rows of a plane, and kN rows of
/// another. All four warps of a group, whose first is a multiple of four, must call it. Sums mean
/// nothing until wait_products, and what is read must not change until then.
template <int kN>
void group_product(float (&sums)[kN / 2], Shared<std::uint32_t> a, Shared<std::uint32_t> b,
                   int step, bool add, Where where = Where::current()) {
  const auto product = [&sums, a, b, step, add, where] {
    float rows[2][16];
    const int row = warp_index() % 4 * 16 + lane_index() / 4;
    read_plane(a, row, step, rows[0], where);
    read_plane(a, row + 8, step, rows[1], where);
    sum_products<kN>(sums, rows, b, step, add, where);
  };
  emulator::machine().product_later(product);
}

/// The same with a in registers, as mma_bf16 has it.
template <int kN>
void group_product(float (&sums)[kN / 2], const std::uint32_t (&a)[4], Shared<std::uint32_t> b,
                   int step, bool add, Where where = Where::current()) {
  struct Mine {
    std::uint32_t a[4];
  } mine;
  std::memcpy(mine.a, a, sizeof(a));
  const auto& slots = emulator::machine().exchange(&mine, sizeof(mine), where);
  std::array<std::array<std::uint32_t, 4>, 4> of_row;  // of the four lanes with this one's rows
  for (std::size_t t = 0; t < 4; ++t) {
    const std::size_t lane = static_cast<std::size_t>(lane_index()) / 4 * 4 + t;
    std::memcpy(of_row[t].data(), slots[lane].data(), sizeof(mine));
  }
  const auto product = [&sums, of_row, b, step, add, where] {
    float rows[2][16];
    for (std::size_t k = 0; k < 16; ++k) {
      for (std::size_t half = 0; half < 2; ++half) {
        const std::uint32_t word = of_row[k % 8 / 2][k / 8 * 2 + half];
        rows[half][k] = bf16_to_float(static_cast<std::uint16_t>(k % 2 != 0 ? word >> 16 : word));
      }
    }
    sum_products<kN>(sums, rows, b, step, add, where);
  };
  emulator::machine().product_later(product);
}

/// Four 8 x 8 matrices of 16-bit elements from shared memory: lane l says where the 16 bytes of row
/// l % 8 of matrix l / 8 begin (from[i]), a multiple of 16 bytes, and gets of matrix j the elements
/// 2t and 2t + 1 of row g, with g = lane / 4 and t = lane % 4.
template <typename T>
void load_matrices(std::uint32_t (&to)[4], Shared<T> from, std::int64_t i,
                   Where where = Where::current()) {
  const auto mine = from.template load<Words4>(i, where);
  const auto& slots = emulator::machine().exchange(&mine, sizeof(mine), where);
  const auto lane = static_cast<std::size_t>(lane_index());
  for (std::size_t j = 0; j < 4; ++j) {
    std::memcpy(&to[j], slots[8 * j + lane / 4].data() + 4 * (lane % 4), 4);
  }
}

/// The same of the transposed matrices: elements g of rows 2t and 2t + 1.
template <typename T>
void load_transposed(std::uint32_t (&to)[4], Shared<T> from, std::int64_t i,
                     Where where = Where::current()) {
  const auto mine = from.template load<Words4>(i, where);
  const auto& slots = emulator::machine().exchange(&mine, sizeof(mine), where);
  const auto lane = static_cast<std::size_t>(lane_index());
  for (std::size_t j = 0; j < 4; ++j) {
    std::uint16_t pair[2];
    for (std::size_t k = 0; k < 2; ++k) {
      std::memcpy(&pair[k], slots[8 * j + 2 * (lane % 4) + k].data() + 2 * (lane / 4), 2);
    }
    to[j] = pair[0] | static_cast<std::uint32_t>(pair[1]) << 16;
  }
}

/// Shared memory that a block may have: a Hopper's.
inline std::size_t shared_limit() { return 227 * 1024; }

/// Queues one kernel. Failures show in the driver's status().
template <typename Args>
void launch(Stream stream, const char* name, void (*kernel)(Args), const LaunchGrid& grid,
            const Args& args) {
  static_cast<emulator::EmulatedStream*>(stream)->launch(
      name, {{grid.x, grid.y, grid.z}, grid.threads, grid.shared_bytes, grid.overlap},
      [kernel, args] { kernel(args); });
}

/// Two e4m3 numbers as two halves, which hold them exactly; the first in the lower half.
inline std::uint32_t f8_halves(std::uint16_t bits) {
  const Floats2 both = f8_pair(bits);
  return float_to_half(both.v[0]) | static_cast<std::uint32_t>(float_to_half(both.v[1])) << 16;
}

/// mma_bf16 of half-precision numbers.
inline void mma_f16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                    Where where = Where::current()) {
  const Words4 rows = {{a[0], a[1], a[2], a[3]}};
  const Words2 cols = {{b[0], b[1]}};
  const auto part = [](std::uint32_t pair, int odd) {
    return half_to_float(static_cast<std::uint16_t>(odd != 0 ? pair >> 16 : pair));
  };
  struct Mine {
    Words4 rows;
    Words2 cols;
  } mine{rows, cols};
  const auto& slots = emulator::machine().exchange(&mine, sizeof(mine), where);
  const auto of = [&](int lane) -> const Mine& {
    return *reinterpret_cast<const Mine*>(slots[static_cast<std::size_t>(lane)].data());
  };
  for (int i = 0; i < 4; ++i) {
    const int below = i / 2;  // rows g + 8
    const int column = lane_index() % 4 * 2 + i % 2;
    for (int k = 0; k < 16; ++k) {
      const Mine& row = of(lane_index() / 4 * 4 + k % 8 / 2);
      const Mine& col = of(column * 4 + k % 8 / 2);
      d[i] += part(row.rows.v[k / 8 * 2 + below], k % 2) * part(col.cols.v[k / 8], k % 2);
    }
  }
}

/// Element i and those after it into `to`, or nothing, and `to` is left as it is.
template <typename T, typename V>
void load_if(bool there, Global<const T> from, std::int64_t i, V& to,
             Where where = Where::current()) {
  if (there) to = from.template load<V>(i, where);
}

/// The same number, of which the compiler knows nothing: what follows from it is computed where it
/// is used, and not kept in registers from before a loop on.
inline int fresh(int value) { return value; }

/// The lower halves of two words as one, and the upper halves.
inline std::uint32_t lower_halves(std::uint32_t a, std::uint32_t b) {
  return (a & 0xFFFFu) | b << 16;
}
inline std::uint32_t upper_halves(std::uint32_t a, std::uint32_t b) {
  return a >> 16 | (b & 0xFFFF0000u);
}

}  // namespace bundle::kernels::cuda
