// The table of device functions that the model runs on. One implementation a backend: the plain
// reference, CPU SIMD, CUDA. Shapes are checked by the model once, when it loads; these functions
// trust them.
//
// Results do not depend on what else is in a batch: row i of any output depends on row i of the
// inputs (and its sequence's cache) alone, bit for bit, for any number of rows and threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/dtype.h"
#include "base/result.h"

namespace bundle::kernels {

/// A published weight matrix: (rows, cols) row-major in `type`; y = W x has `rows` outputs.
struct WeightView {
  DType type = DType::kF32;
  Bytes data;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

/// A weight matrix in the layout a device prefers. May refer to the published bytes instead of
/// copying them: `uses_source()` then says that those must stay mapped.
class Matrix {
 public:
  virtual ~Matrix() = default;
  virtual std::int64_t rows() const = 0;
  virtual std::int64_t cols() const = 0;
  virtual bool uses_source() const = 0;
  /// Private memory that it holds, in bytes.
  virtual std::size_t resident_bytes() const = 0;
};

/// Activations (rows, cols), row-major, in device memory. A view; the device's arena owns it.
struct Tensor {
  void* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  /// CPU devices keep activations in float.
  float* f32() const { return static_cast<float*>(data); }
};

/// Device memory for one step's activations; freed with the object.
class Arena {
 public:
  virtual ~Arena() = default;
  /// The start of a block of at least `bytes`, 64-byte aligned; may move earlier memory never.
  virtual void* take(std::size_t bytes) = 0;
  /// Gives everything back for the next step.
  virtual void reset() = 0;
};

/// Shape of a paged key/value cache. A block holds `block_tokens` positions of every layer.
struct KvShape {
  std::int64_t layers = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t block_tokens = 16;
  DType type = DType::kF16;  // kF32, kF16 or kBF16

  /// Keys and values of one position over all layers.
  std::uint64_t bytes_per_token() const {
    return static_cast<std::uint64_t>(2 * layers * kv_heads * head_dim) *
           static_cast<std::uint64_t>(dtype_info(type).bytes);
  }
};

/// Paged key/value memory in a device's own layout.
class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual const KvShape& shape() const = 0;
  virtual std::int64_t num_blocks() const = 0;
};

/// A run of consecutive rows of a batch that belong to one sequence.
struct Slice {
  std::int64_t first_row = 0;  // in the batch's activations
  std::int64_t rows = 0;
  std::int64_t position = 0;             // of the first row in its sequence
  const std::int32_t* blocks = nullptr;  // block table: position p lies in blocks[p / block_tokens]
};

/// RMSNorm weights and biases are float32 on every device.
struct Vector {
  const float* data = nullptr;
  std::int64_t size = 0;
};

struct RopeTable {
  const float* inv_freq = nullptr;  // (rotary_dim / 2), in radians a position
  std::int64_t rotary_dim = 0;
  float scale = 1.0f;        // multiplies cos and sin (YaRN's attention factor)
  bool interleaved = false;  // pairs (2i, 2i+1) instead of (i, i + rotary_dim / 2)
};

struct AttentionShape {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  float scale = 0.0f;               // softmax(scale * q·k)
  std::int64_t sliding_window = 0;  // a row sees that many last positions, itself too; 0: all
};

/// Steps of one layer, in the order the model calls them. All calls of one Device come from one
/// thread; the device may use its own threads inside a call.
class Device {
 public:
  virtual ~Device() = default;

  /// "cpu-reference", "cpu-avx2", "cpu-avx512vnni", "cuda-sm90", …
  virtual std::string_view name() const = 0;

  /// One matrix from parts stacked by rows (q, k and v; gate and up), which may differ in type but
  /// not in cols. kBadInput for a type that the device cannot multiply.
  virtual Result<std::unique_ptr<Matrix>> pack(std::span<const WeightView> parts) = 0;
  virtual std::unique_ptr<Arena> make_arena() = 0;
  virtual Result<std::unique_ptr<KvCache>> make_kv_cache(const KvShape& shape,
                                                         std::int64_t blocks) = 0;

  /// out (n, cols) = rows `ids` of the table.
  virtual void embed(const Matrix& table, std::span<const std::int32_t> ids, Tensor out) = 0;

  /// out = x / sqrt(mean(x²) + eps) · weight, each row alone. out may be x.
  virtual void rms_norm(Tensor x, Vector weight, float eps, Tensor out) = 0;

  /// y = x Wᵀ + bias, or y += … with `accumulate`. x (n, W.cols), y (n, W.rows), bias (W.rows) or
  /// null.
  virtual void matmul(const Matrix& w, Tensor x, const float* bias, bool accumulate, Tensor y) = 0;

  /// rms_norm followed by matmul, without a temporary in memory where the device can.
  virtual void norm_matmul(Tensor x, Vector weight, float eps, const Matrix& w, const float* bias,
                           Tensor y) = 0;

  /// qkv (n, (heads + 2 kv_heads) · head_dim): normalizes each head of q and k where the norms
  /// have data, rotates q and k by their positions, and writes k and v to `layer` of the cache.
  /// q stays in qkv.
  virtual void rope_and_store(Tensor qkv, const AttentionShape& shape, const RopeTable& rope,
                              Vector q_norm, Vector k_norm, float eps,
                              std::span<const Slice> slices, KvCache& cache,
                              std::int64_t layer) = 0;

  /// out (n, heads · head_dim): each row attends to the positions up to its own, from the cache.
  virtual void attention(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
                         const KvCache& cache, std::int64_t layer, Tensor out) = 0;

  /// gate_up (n, 2 m), gate first: out (n, m) = silu(gate) · up.
  virtual void silu_mul(Tensor gate_up, Tensor out) = 0;

  /// out (rows.size(), cols) = the named rows of x.
  virtual void gather_rows(Tensor x, std::span<const std::int64_t> rows, Tensor out) = 0;

  /// Copies device activations to host float.
  virtual void read(Tensor x, float* out) = 0;
};

}  // namespace bundle::kernels
