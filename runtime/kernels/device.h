// The table of device functions that the model runs on. One implementation a backend: the plain
// reference, CPU SIMD, CUDA. Shapes are checked by the model once, when it loads; these functions
// trust them.
//
// Results do not depend on what else is in a batch: row i of any output depends on row i of the
// inputs (and its sequence's cache) alone, bit for bit, for any number of rows and threads. (On a
// GPU this is an option: without it a step of many rows may differ from one of few in the last
// bits.)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/dtype.h"
#include "base/kv_type.h"
#include "base/result.h"
#include "runtime/comm/communicator.h"

namespace bundle::kernels {

/// Columns of an 8-bit matrix that share a scale, and rows too in DeepSeek-V3's form.
inline constexpr std::int64_t kScaleBlock = 128;

/// A published weight matrix: (rows, cols) row-major in `type`; y = W x has `rows` outputs.
///
/// F8_E4M3 and I8 come with a float for each block of scale_rows x 128: element (r, c) counts times
/// block_scales[(scale_row + r) / scale_rows · scale_stride + c / 128]. DeepSeek-V3 is published
/// with blocks of 128x128; where each row has one scale, scale_rows is 1 and the row's is repeated.
/// `scale_row` is not 0 where the view begins inside a published matrix.
struct WeightView {
  DType type = DType::kF32;
  Bytes data;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const float* block_scales = nullptr;
  std::int64_t scale_stride = 0;
  std::int64_t scale_row = 0;
  std::int64_t scale_rows = kScaleBlock;

  /// Scales of row r, one for each 128 columns.
  const float* scales_of(std::int64_t r) const {
    return block_scales + (scale_row + r) / scale_rows * scale_stride;
  }
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

/// One expert of a mixture: down(silu(gate(x)) · up(x)). gate and up are (m, hidden), down is
/// (hidden, m).
struct ExpertView {
  WeightView gate;
  WeightView up;
  WeightView down;
};

/// The experts of one layer in the layout a device prefers. As for a Matrix, `uses_source()` says
/// whether the published bytes must stay mapped.
class Experts {
 public:
  virtual ~Experts() = default;
  virtual std::int64_t count() const = 0;
  virtual bool uses_source() const = 0;
  virtual std::size_t resident_bytes() const = 0;
};

/// How a mixture of experts chooses. Of a row's logits l:
///
///   score[e]  = softmax(l)[e], or 1 / (1 + exp(−l[e])) with `sigmoid`
///   choice[e] = score[e] + bias[e]
///   of `groups` equal groups of consecutive experts, the `top_groups` whose sum of the
///   `group_best` largest choices is largest stay; of their experts the top_k of largest choice
///   weight[e] = score[e] · scale, divided by the sum of the chosen scores + 1e-20 if `normalize`
///
/// Ties go to the lower number. So Mixtral and Qwen3-MoE (softmax, normalize), DeepSeek-V2
/// (softmax, groups by their best expert) and DeepSeek-V3 (sigmoid, bias, groups by their two best)
/// are one rule.
struct RouterShape {
  std::int64_t experts = 0;
  std::int64_t top_k = 0;
  std::int64_t groups = 1;
  std::int64_t top_groups = 1;
  std::int64_t group_best = 1;
  bool sigmoid = false;
  bool normalize = false;
  float scale = 1.0f;
};

/// The experts that each row goes to, in device memory (an arena owns it).
struct Routing {
  std::int32_t* experts = nullptr;  // (rows, top_k), of largest choice first
  float* weights = nullptr;         // (rows, top_k)
  std::int64_t rows = 0;
  std::int64_t top_k = 0;
  /// Number of the first expert of those that run_experts is given, where they are a part of the
  /// layer's: a row gets nothing from chosen experts that are not among them.
  std::int64_t first = 0;
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
///
/// With `latent_rank` (multi-head latent attention) a position holds one vector for all heads
/// instead of keys and values: kv_heads is 1, and head_dim counts latent_rank compressed elements
/// and the rotated key's behind them.
struct KvShape {
  std::int64_t layers = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t block_tokens = 16;
  /// kF32, kF16, kBF16; kF8E4M3, at most 448; or kI8, whose groups of kKvScaleGroup elements share
  /// a scale (int8_group.h). All are rounded to nearest.
  DType type = DType::kF16;
  std::int64_t latent_rank = 0;

  /// Vectors of head_dim elements that a position holds for a head: key and value, or the latent.
  std::int64_t vectors() const { return latent_rank > 0 ? 1 : 2; }
  /// All that the cache holds of one position over all layers.
  std::uint64_t bytes_per_token() const {
    return static_cast<std::uint64_t>(vectors() * layers * kv_heads) *
           static_cast<std::uint64_t>(kv_vector_bytes(type, head_dim));
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
  bool expanded = false;                 // the form of latent attention; others ignore it
};

/// Constant floats in a device's memory (norm weights, biases, rotation frequencies), made by
/// Device::place(). Copies share the memory.
class DeviceVector {
 public:
  DeviceVector() = default;
  DeviceVector(std::shared_ptr<const float> data, std::int64_t size)
      : data_(std::move(data)), size_(size) {}

  /// In device memory; null when empty.
  const float* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  std::shared_ptr<const float> data_;
  std::int64_t size_ = 0;
};

/// RMSNorm weights and biases are float32 on every device, and in its memory.
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

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1). The cache holds the
/// normalized latent c (rank) and one rotated key part for all heads (rope_dim).
struct LatentShape {
  std::int64_t heads = 0;
  std::int64_t nope_dim = 0;   // of a head's query and key that is not rotated
  std::int64_t rope_dim = 0;   // of a head's query that is, behind the former
  std::int64_t rank = 0;       // of the latent
  std::int64_t value_dim = 0;  // of a head's value
  float scale = 0.0f;          // softmax(scale · q·k)

  std::int64_t query_dim() const { return nope_dim + rope_dim; }
  std::int64_t latent_dim() const { return rank + rope_dim; }
};

/// What turns a latent into each head's key and value, and what turns a query into one for the
/// latent itself. Packed with one part a head, in order; the last is the first, each head
/// transposed.
struct LatentWeights {
  const Matrix* key_up = nullptr;      // (heads · nope_dim, rank)
  const Matrix* value_up = nullptr;    // (heads · value_dim, rank)
  const Matrix* key_absorb = nullptr;  // (heads · rank, nope_dim)
};

/// A token to be chosen from a row of logits l, of which m is the largest:
///
///   temperature 0: the token of m, the lowest id on a tie. Else the weight of a token is
///   exp((l − m) / temperature), and of all tokens, the likeliest first (on a tie the lower id),
///   those with a logit of at least m + temperature · ln(min_p) stay, of them the top_k first, and
///   of them the fewest whose weights add up to top_p of all of theirs
///   the token: the lowest id at which the weights of those that stay, summed in the order of ids,
///   pass `uniform` of their total
struct TokenChoice {
  std::int64_t row = 0;  // of the logits
  double temperature = 0.0;
  double top_p = 1.0;      // 1: all
  double min_p = 0.0;      // 0: all
  double uniform = 0.0;    // in [0, 1)
  std::int32_t top_k = 0;  // 0: all
};

/// The host's arrays that the calls of one step name. They stay as they are until the step ends.
struct StepInputs {
  std::span<const std::int32_t> ids;
  std::span<const Slice> slices;
  std::span<const std::int64_t> kept_rows;
  std::span<const Slice> kept_slices;
  const KvCache* cache = nullptr;
};

/// Steps of one layer, in the order the model calls them. All calls of one Device come from one
/// thread; the device may use its own threads inside a call.
class Device {
 public:
  virtual ~Device() = default;

  /// "cpu-reference", "cpu-avx2", "cpu-avx512vnni", "cuda-sm90", …
  virtual std::string_view name() const = 0;

  /// Products with floating-point weights no longer round activations to fewer bits for speed, as
  /// they may for a dense model: in a mixture a rounding chooses another expert. Called by whoever
  /// loads such a model, before its first matrix.
  virtual void keep_activations() {}
  /// One matrix from parts stacked by rows (q, k and v; gate and up), which may differ in type but
  /// not in cols. kBadInput for a type that the device cannot multiply, or a NaN in F8_E4M3.
  virtual Result<std::unique_ptr<Matrix>> pack(std::span<const WeightView> parts) = 0;
  /// All experts of a layer, which must not differ in shape, nor in type of the same matrix.
  /// kBadInput as above.
  virtual Result<std::unique_ptr<Experts>> pack_experts(std::span<const ExpertView> experts) = 0;
  /// Copies constants to where the functions below can read them.
  virtual Result<DeviceVector> place(std::span<const float> values) {
    std::shared_ptr<float[]> copy(new float[values.size()]);
    std::copy(values.begin(), values.end(), copy.get());
    return DeviceVector(std::shared_ptr<const float>(copy, copy.get()),
                        static_cast<std::int64_t>(values.size()));
  }
  virtual std::unique_ptr<Arena> make_arena() = 0;
  virtual Result<std::unique_ptr<KvCache>> make_kv_cache(const KvShape& shape,
                                                         std::int64_t blocks) = 0;

  /// Runs a step: `body` makes the calls below that belong to it, all but read(). A device with
  /// memory of its own copies `inputs` there once, and may run a step of the same shape again
  /// without calling `body`. Calls outside of a step work too, and cost more.
  virtual void run_step(const StepInputs& inputs, const std::function<void()>& body) {
    static_cast<void>(inputs);
    body();
  }

  /// Memory of its own that a cache may still take; none on devices that use the host's.
  virtual std::optional<std::uint64_t> free_memory() const { return std::nullopt; }

  /// An error once the device can not go on: results since then mean nothing. Asked after read().
  virtual Status status() const { return {}; }

  /// A communicator of the ranks of `host`, which all call this, for activations: its memory is the
  /// device's, and its order that of the functions below. Null where that is the host's memory, for
  /// which `host` itself does. It must end before the device and before `host`. kFailed says what
  /// ranks on such devices lack.
  virtual Result<std::unique_ptr<comm::Communicator>> connect(comm::Communicator& /*host*/) {
    return std::unique_ptr<comm::Communicator>();
  }

  /// out (n, cols) = rows `ids` of the table.
  virtual void embed(const Matrix& table, std::span<const std::int32_t> ids, Tensor out) = 0;
  /// The same with the table's part of the tokens first, first + 1, …; zeros for all others.
  virtual void embed_part(const Matrix& table, std::int64_t first,
                          std::span<const std::int32_t> ids, Tensor out);

  /// out = x / sqrt(mean(x²) + eps) · weight, each row alone. out may be x.
  virtual void rms_norm(Tensor x, Vector weight, float eps, Tensor out) = 0;

  /// out (n, 2 c): rms_norm of a (n, c) beside that of b (n, c); rows of a that `blank` lists count
  /// as zero. For draft layers, which start from a token and a hidden state.
  virtual void join_norms(Tensor a, Vector a_weight, Tensor b, Vector b_weight, float eps,
                          std::span<const std::int64_t> blank, Tensor out) = 0;

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

  /// The same two steps for latent attention. q (n, heads · query_dim): rotates the last rope_dim
  /// of each head. latent (n, latent_dim): normalizes the first `rank`, rotates the rest, and
  /// writes the row to `layer` of the cache.
  virtual void latent_rope_and_store(Tensor q, Tensor latent, const LatentShape& shape,
                                     const RopeTable& rope, Vector norm, float eps,
                                     std::span<const Slice> slices, KvCache& cache,
                                     std::int64_t layer) = 0;

  /// out (n, heads · value_dim): each row attends to the positions up to its own. Two forms give
  /// the same but for rounding, and each slice says which is used: expanded, every position's
  /// latent becomes keys and values of all heads (cheap for many rows); absorbed, the queries
  /// become queries for the latents, and the mixed latents values (cheap for few).
  virtual void latent_attention(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                                std::span<const Slice> slices, const KvCache& cache,
                                std::int64_t layer, Tensor out) = 0;

  /// Chooses each row's experts. logits (n, shape.experts); bias (experts) or null; routing has n
  /// rows of shape.top_k.
  virtual void route(Tensor logits, const RouterShape& shape, const float* bias,
                     Routing routing) = 0;

  /// y += Σ weight · expert(x) over each row's chosen experts that `experts` has, in their order. x
  /// and y (n, hidden).
  /// Weights of experts that no row chose are not read.
  virtual void run_experts(const Experts& experts, Tensor x, Routing routing, Tensor y) = 0;

  /// gate_up (n, 2 m), gate first: out (n, m) = silu(gate) · up.
  virtual void silu_mul(Tensor gate_up, Tensor out) = 0;

  /// out (n, m) = silu_mul of norm_matmul (of matmul where `norm` has no data) with w (2 m rows,
  /// gate first). `both` (n, 2 m) is room for what lies between, where the device needs it.
  virtual void gated_matmul(Tensor x, Vector norm, float eps, const Matrix& w, const float* bias,
                            Tensor both, Tensor out) {
    if (norm.data != nullptr) {
      norm_matmul(x, norm, eps, w, bias, both);
    } else {
      matmul(w, x, bias, false, both);
    }
    silu_mul(both, out);
  }

  /// out (rows.size(), cols) = the named rows of x.
  virtual void gather_rows(Tensor x, std::span<const std::int64_t> rows, Tensor out) = 0;

  /// Whether tokens of a vocabulary of that size can be chosen here; else whoever wants one reads
  /// the logits.
  virtual bool chooses(std::int64_t /*vocabulary*/) const { return false; }
  /// ids[i] = what choices[i] names, for the host; -1 where a logit of its row is not finite.
  /// Weights are float, and their sums double: what is chosen differs from exact sums as seldom as
  /// a random number falls between the two.
  virtual void choose(Tensor logits, std::span<const TokenChoice> choices, std::int32_t* ids) {
    static_cast<void>(logits);
    std::fill_n(ids, choices.size(), -1);
  }

  /// x = 0.
  virtual void clear(Tensor x) {
    std::memset(x.data, 0, static_cast<std::size_t>(x.rows * x.cols) * sizeof(float));
  }
  /// Columns first, first + 1, … of `all` = x, which has as many rows.
  virtual void place_columns(Tensor x, std::int64_t first, Tensor all);

  /// Copies device activations to host float.
  virtual void read(Tensor x, float* out) = 0;
};

inline void Device::embed_part(const Matrix& table, std::int64_t first,
                               std::span<const std::int32_t> ids, Tensor out) {
  clear(out);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::int64_t row = ids[i] - first;
    if (row < 0 || row >= table.rows()) continue;
    const auto local = static_cast<std::int32_t>(row);
    embed(table, {&local, 1}, {out.f32() + static_cast<std::int64_t>(i) * out.cols, 1, out.cols});
  }
}

inline void Device::place_columns(Tensor x, std::int64_t first, Tensor all) {
  for (std::int64_t row = 0; row < x.rows; ++row) {
    std::copy_n(x.f32() + row * x.cols, x.cols, all.f32() + row * all.cols + first);
  }
}

}  // namespace bundle::kernels
