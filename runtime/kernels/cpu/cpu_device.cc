#include "runtime/kernels/cpu_device.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "runtime/kernels/choose_experts.h"
#include "runtime/kernels/cpu/attention.h"
#include "runtime/kernels/cpu/cpu_features.h"
#include "runtime/kernels/cpu/expert_runner.h"
#include "runtime/kernels/cpu/growing_buffer.h"
#include "runtime/kernels/cpu/huge_memory.h"
#include "runtime/kernels/cpu/kernel_table.h"
#include "runtime/kernels/cpu/kv_cache.h"
#include "runtime/kernels/cpu/latent_runner.h"
#include "runtime/kernels/cpu/matrix_inputs.h"
#include "runtime/kernels/cpu/packed_experts.h"
#include "runtime/kernels/cpu/packed_matrix.h"
#include "runtime/kernels/cpu/rope.h"
#include "runtime/kernels/cpu/thread_pool.h"

namespace bundle::kernels {
namespace cpu {
namespace {

/// Loops of fewer elements than this run on the caller alone.
constexpr std::int64_t kGrainElements = 16384;
/// Weight bytes that are worth a thread's while.
constexpr std::int64_t kGrainWeightBytes = 16384;
/// Activations are prepared in runs of whole tiles of every instruction set.
constexpr std::int64_t kPrepareTokens = 8;

std::int64_t grain_rows(std::int64_t cols) {
  return std::max<std::int64_t>(1, kGrainElements / std::max<std::int64_t>(1, cols));
}

/// A list of maps, filled one after the other.
class CpuArena : public Arena {
 public:
  void* take(std::size_t bytes) override {
    const std::size_t size = (bytes + 63) / 64 * 64;
    while (current_ < maps_.size() && size > maps_[current_]->size() - used_) next_map();
    if (current_ == maps_.size()) {
      auto map = std::make_unique<HugeMemory>(std::max(size, kMapBytes));
      if (map->data() == nullptr) throw std::bad_alloc();
      maps_.push_back(std::move(map));
    }
    std::byte* start = maps_[current_]->data() + used_;
    used_ += size;
    return start;
  }

  void reset() override {
    current_ = 0;
    used_ = 0;
  }

 private:
  static constexpr std::size_t kMapBytes = std::size_t{16} << 20;

  void next_map() {
    ++current_;
    used_ = 0;
  }

  std::vector<std::unique_ptr<HugeMemory>> maps_;
  std::size_t current_ = 0;
  std::size_t used_ = 0;
};

class CpuDevice : public Device {
 public:
  CpuDevice(const IsaName& isa, const KernelTable& table, int threads)
      : name_(isa.device_name),
        table_(table),
        pool_(threads),
        attention_(table_, pool_),
        latent_(table_, pool_, attention_),
        experts_(table_, pool_) {}

  std::string_view name() const override { return name_; }

  void keep_activations() override {
    if (!table_.bf16_dot) return;
    table_.bf16_dot = false;
    constexpr auto kType = static_cast<std::size_t>(DType::kBF16);
    table_.gemm[kType] = avx512::kernel_table().gemm[kType];
  }

  Result<std::unique_ptr<Matrix>> pack(std::span<const WeightView> parts) override {
    BUNDLE_TRY(std::unique_ptr<Matrix> matrix, PackedMatrix::pack(parts, weights_, pool_));
    return matrix;
  }

  Result<std::unique_ptr<Experts>> pack_experts(std::span<const ExpertView> experts) override {
    BUNDLE_TRY(auto packed, PackedExperts::pack(experts, weights_, pool_));
    return std::unique_ptr<Experts>(std::move(packed));
  }

  std::unique_ptr<Arena> make_arena() override { return std::make_unique<CpuArena>(); }

  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvShape& shape,
                                                 std::int64_t blocks) override {
    return CpuKvCache::create(shape, blocks);
  }

  void embed(const Matrix& table, std::span<const std::int32_t> ids, Tensor out) override {
    const auto& matrix = static_cast<const PackedMatrix&>(table);
    each_row(static_cast<std::int64_t>(ids.size()), out.cols, [&](std::int64_t i, int) {
      matrix.read_row(ids[static_cast<std::size_t>(i)], out.f32() + i * out.cols);
    });
  }

  void rms_norm(Tensor x, Vector weight, float eps, Tensor out) override {
    each_row(x.rows, x.cols, [&](std::int64_t i, int) {
      table_.rms_norm(x.f32() + i * x.cols, weight.data, eps, x.cols, out.f32() + i * out.cols);
    });
  }

  void join_norms(Tensor a, Vector a_weight, Tensor b, Vector b_weight, float eps,
                  std::span<const std::int64_t> blank, Tensor out) override {
    each_row(a.rows, out.cols, [&](std::int64_t i, int) {
      float* joined = out.f32() + i * out.cols;
      table_.rms_norm(a.f32() + i * a.cols, a_weight.data, eps, a.cols, joined);
      table_.rms_norm(b.f32() + i * b.cols, b_weight.data, eps, b.cols, joined + a.cols);
    });
    for (const std::int64_t i : blank) std::fill_n(out.f32() + i * out.cols, a.cols, 0.0f);
  }

  void matmul(const Matrix& w, Tensor x, const float* bias, bool accumulate, Tensor y) override {
    multiply(static_cast<const PackedMatrix&>(w), x, {}, 0.0f, bias, accumulate, y);
  }

  void norm_matmul(Tensor x, Vector weight, float eps, const Matrix& w, const float* bias,
                   Tensor y) override {
    multiply(static_cast<const PackedMatrix&>(w), x, weight, eps, bias, false, y);
  }

  void rope_and_store(Tensor qkv, const AttentionShape& shape, const RopeTable& rope, Vector q_norm,
                      Vector k_norm, float eps, std::span<const Slice> slices, KvCache& cache,
                      std::int64_t layer) override;

  void attention(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
                 const KvCache& cache, std::int64_t layer, Tensor out) override {
    attention_.run(qkv, shape, slices, static_cast<const CpuKvCache&>(cache), layer, out);
  }

  void latent_rope_and_store(Tensor q, Tensor latent, const LatentShape& shape,
                             const RopeTable& rope, Vector norm, float eps,
                             std::span<const Slice> slices, KvCache& cache,
                             std::int64_t layer) override;

  void latent_attention(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                        std::span<const Slice> slices, const KvCache& cache, std::int64_t layer,
                        Tensor out) override {
    latent_.run(q, shape, weights, slices, static_cast<const CpuKvCache&>(cache), layer, out);
  }

  void route(Tensor logits, const RouterShape& shape, const float* bias, Routing routing) override {
    each_row(logits.rows, logits.cols, [&](std::int64_t i, int) {
      choose_experts(logits.f32() + i * logits.cols, shape, bias,
                     routing.experts + i * routing.top_k, routing.weights + i * routing.top_k);
    });
  }

  void run_experts(const Experts& experts, Tensor x, Routing routing, Tensor y) override {
    experts_.run(static_cast<const PackedExperts&>(experts), x, routing, y);
  }

  void silu_mul(Tensor gate_up, Tensor out) override {
    each_row(out.rows, out.cols, [&](std::int64_t i, int) {
      const float* gate = gate_up.f32() + i * gate_up.cols;
      table_.silu_mul(gate, gate + out.cols, out.cols, out.f32() + i * out.cols);
    });
  }

  void gather_rows(Tensor x, std::span<const std::int64_t> rows, Tensor out) override {
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::memcpy(out.f32() + static_cast<std::int64_t>(i) * out.cols, x.f32() + rows[i] * x.cols,
                  static_cast<std::size_t>(x.cols) * sizeof(float));
  }

  void read(Tensor x, float* out) override {
    std::memcpy(out, x.f32(), static_cast<std::size_t>(x.rows * x.cols) * sizeof(float));
  }

 private:
  /// A row of the batch with its place in the cache.
  struct Place {
    std::int64_t row;
    std::int64_t position;
    const std::int32_t* blocks;
  };

  /// body(row, thread) for every row, shared out when there are enough of them.
  template <typename Body>
  void each_row(std::int64_t rows, std::int64_t cols, const Body& body) {
    pool_.run(rows, grain_rows(cols), [&](std::int64_t begin, std::int64_t end, int thread) {
      for (std::int64_t i = begin; i < end; ++i) body(i, thread);
    });
  }

  void multiply(const PackedMatrix& w, Tensor x, Vector norm, float eps, const float* bias,
                bool accumulate, Tensor y);
  void prepare(Tensor x, Vector norm, float eps, const ActivationLayout& layout, std::byte* out);
  void find_places(const RopeTable& rope, std::span<const Slice> slices);
  void store_position(const Place& place, const float* k, const float* v,
                      const AttentionShape& shape, CpuKvCache& cache, std::int64_t layer) const;

  std::string name_;
  KernelTable table_;
  ThreadPool pool_;
  HugeAllocator weights_;
  AttentionRunner attention_;
  LatentRunner latent_;
  ExpertRunner experts_;
  RopeAngles angles_;
  GrowingBuffer activations_;
  GrowingBuffer norm_scratch_;
  std::vector<Place> places_;
  std::vector<std::int64_t> positions_;
};

void CpuDevice::prepare(Tensor x, Vector norm, float eps, const ActivationLayout& layout,
                        std::byte* out) {
  float* scratch = nullptr;
  if (norm.data != nullptr)
    scratch = reinterpret_cast<float*>(norm_scratch_.at_least(
        pool_.threads() * x.cols * static_cast<std::int64_t>(sizeof(float))));
  const std::int64_t runs = (x.rows + kPrepareTokens - 1) / kPrepareTokens;
  pool_.run(runs, grain_rows(x.cols * kPrepareTokens),
            [&](std::int64_t begin, std::int64_t end, int thread) {
              const std::int64_t first = begin * kPrepareTokens;
              PrepareArgs args;
              args.x = x.f32() + first * x.cols;
              args.x_stride = x.cols;
              args.tokens = std::min(x.rows, end * kPrepareTokens) - first;
              args.norm_weight = norm.data;
              args.eps = eps;
              args.scratch = scratch + thread * x.cols;
              args.layout = layout;
              args.out = out + first * layout.token_bytes();
              table_.prepare(args);
            });
}

void CpuDevice::multiply(const PackedMatrix& w, Tensor x, Vector norm, float eps, const float* bias,
                         bool accumulate, Tensor y) {
  const MatrixInputs inputs(table_, w, x.rows);
  std::byte* memory = activations_.at_least(inputs.bytes());
  for (const MatrixInputs::Input& input : inputs.all())
    if (input.used) prepare(x, norm, eps, input.layout, memory + input.at);
  GemmArgs args;
  args.tokens = x.rows;
  args.y = y.f32();
  args.y_stride = y.cols;
  args.bias = bias;
  args.accumulate = accumulate;
  const std::int64_t stride = w.parts()[0].layout.stride;
  pool_.run(w.blocks(), std::max<std::int64_t>(1, kGrainWeightBytes / stride),
            [&](std::int64_t begin, std::int64_t end, int) {
              multiply_blocks(table_, w, inputs, memory, begin, end, args);
            });
}

void CpuDevice::store_position(const Place& place, const float* k, const float* v,
                               const AttentionShape& shape, CpuKvCache& cache,
                               std::int64_t layer) const {
  const StoreElements store = table_.store[static_cast<int>(cache.type())];
  const std::int64_t block_tokens = cache.shape().block_tokens;
  const std::int32_t block = place.blocks[place.position / block_tokens];
  const std::int64_t at = place.position % block_tokens;
  const std::int64_t lane = at % kTile;
  for (std::int64_t head = 0; head < shape.kv_heads; ++head) {
    std::byte* keys = cache.tile(block, layer, head, at / kTile);
    std::byte* values = keys + cache.tile_bytes();
    store(k + head * shape.head_dim, shape.head_dim, kTile, keys + lane * cache.element_bytes(),
          cache.scales(keys, lane));
    store(v + head * shape.head_dim, shape.head_dim, 1,
          values + lane * cache.dim() * cache.element_bytes(), cache.scales(values, lane));
  }
}

/// Lists the rows of the slices and makes their angles ready.
void CpuDevice::find_places(const RopeTable& rope, std::span<const Slice> slices) {
  places_.clear();
  positions_.clear();
  for (const Slice& slice : slices)
    for (std::int64_t i = 0; i < slice.rows; ++i) {
      places_.push_back({slice.first_row + i, slice.position + i, slice.blocks});
      positions_.push_back(slice.position + i);
    }
  angles_.update(rope, positions_);
}

void CpuDevice::latent_rope_and_store(Tensor q, Tensor latent, const LatentShape& shape,
                                      const RopeTable& rope, Vector norm, float eps,
                                      std::span<const Slice> slices, KvCache& cache,
                                      std::int64_t layer) {
  find_places(rope, slices);
  auto& cpu_cache = static_cast<CpuKvCache&>(cache);
  each_row(static_cast<std::int64_t>(places_.size()), q.cols, [&](std::int64_t i, int) {
    const Place& place = places_[static_cast<std::size_t>(i)];
    const auto turn = [&](float* part) {
      table_.rotate(part, angles_.cos(i), angles_.sin(i), rope.rotary_dim, rope.interleaved);
    };
    float* heads = q.f32() + place.row * q.cols + shape.nope_dim;
    for (std::int64_t h = 0; h < shape.heads; ++h) turn(heads + h * shape.query_dim());
    float* row = latent.f32() + place.row * latent.cols;
    table_.rms_norm(row, norm.data, eps, shape.rank, row);
    turn(row + shape.rank);
    const std::int64_t block_tokens = cpu_cache.shape().block_tokens;
    const std::int64_t at = place.position % block_tokens;
    std::byte* tile =
        cpu_cache.tile(place.blocks[place.position / block_tokens], layer, 0, at / kTile);
    table_.store[static_cast<int>(cpu_cache.type())](
        row, shape.latent_dim(), 1, tile + at % kTile * cpu_cache.dim() * cpu_cache.element_bytes(),
        cpu_cache.scales(tile, at % kTile));
  });
}

void CpuDevice::rope_and_store(Tensor qkv, const AttentionShape& shape, const RopeTable& rope,
                               Vector q_norm, Vector k_norm, float eps,
                               std::span<const Slice> slices, KvCache& cache, std::int64_t layer) {
  find_places(rope, slices);
  auto& cpu_cache = static_cast<CpuKvCache&>(cache);
  each_row(static_cast<std::int64_t>(places_.size()), qkv.cols, [&](std::int64_t i, int) {
    const Place& place = places_[static_cast<std::size_t>(i)];
    float* row = qkv.f32() + place.row * qkv.cols;
    float* k = row + shape.heads * shape.head_dim;
    for (std::int64_t h = 0; h < shape.heads + shape.kv_heads; ++h) {
      float* head = row + h * shape.head_dim;
      const Vector& norm = h < shape.heads ? q_norm : k_norm;
      if (norm.data != nullptr) table_.rms_norm(head, norm.data, eps, shape.head_dim, head);
      table_.rotate(head, angles_.cos(i), angles_.sin(i), rope.rotary_dim, rope.interleaved);
    }
    store_position(place, k, k + shape.kv_heads * shape.head_dim, shape, cpu_cache, layer);
  });
}

const KernelTable& table_of(Isa isa) {
  if (isa == Isa::kAvx512Bf16) return avx512bf16::kernel_table();
  if (isa == Isa::kAvx512) return avx512::kernel_table();
  return avx2::kernel_table();
}

}  // namespace
}  // namespace cpu

Result<std::unique_ptr<Device>> make_cpu_device(const CpuOptions& options) {
  const std::vector<cpu::IsaName> isas = cpu::runnable_isas();
  if (isas.empty())
    return failed("this CPU lacks AVX2, FMA or F16C", {},
                  "Use a CPU of 2013 or later: Intel Haswell, AMD Excavator, or newer.");
  const auto isa = std::ranges::find_if(isas, [&](const cpu::IsaName& candidate) {
    return options.isa.empty() || options.isa == candidate.option;
  });
  if (isa == isas.end())
    return failed(
        "this CPU can not run the instruction set '" + options.isa + "'", {},
        "Leave the choice empty, or name one of avx512bf16, avx512 and avx2 that it has.");
  const int cores = std::max(1, cpu::usable_cores() / std::max(1, options.sharers));
  const int threads = options.threads > 0 ? options.threads : cores;
  return std::make_unique<cpu::CpuDevice>(*isa, cpu::table_of(isa->isa), threads);
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const cpu::IsaName& isa : cpu::runnable_isas()) names.emplace_back(isa.option);
  return names;
}

}  // namespace bundle::kernels
