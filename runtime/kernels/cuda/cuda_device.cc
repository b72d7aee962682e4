#include "runtime/kernels/cuda/cuda_device.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "runtime/kernels/cuda/host/choice_runner.h"
#include "runtime/kernels/cuda/host/cuda_arena.h"
#include "runtime/kernels/cuda/host/cuda_cache.h"
#include "runtime/kernels/cuda/host/cuda_experts.h"
#include "runtime/kernels/cuda/host/expert_runner.h"
#include "runtime/kernels/cuda/host/gpu_communicator.h"
#include "runtime/kernels/cuda/host/growing_buffer.h"
#include "runtime/kernels/cuda/host/latent_runner.h"
#include "runtime/kernels/cuda/host/products.h"
#include "runtime/kernels/cuda/host/row_inputs.h"
#include "runtime/kernels/cuda/host/step_graphs.h"
#include "runtime/kernels/cuda/host/stream_wait.h"

namespace bundle::kernels::cuda {
namespace {

/// Attention takes a batch in parts whose partial results fit here.
constexpr std::int64_t kPartialFloats = std::int64_t{16} << 20;
constexpr std::int64_t kMostGraphSequences = 1024;
constexpr std::int64_t kMostTiledHeadDim = 128;

const CudaMatrix& cuda(const Matrix& matrix) { return static_cast<const CudaMatrix&>(matrix); }
const CudaCache& cuda(const KvCache& cache) { return static_cast<const CudaCache&>(cache); }

class CudaDevice final : public Device {
 public:
  CudaDevice(std::unique_ptr<Driver> driver, const Ops& ops, const DeviceOptions& options,
             const CollectiveTable* collectives)
      : driver_(std::move(driver)),
        ops_(ops),
        options_(options),
        name_("cuda-sm" + std::to_string(driver_->facts().sm)),
        owned_stream_(*driver_),
        stream_(owned_stream_.get()),
        wait_(*driver_, stream_),
        uploader_(*driver_, stream_),
        inputs_(*driver_, stream_, changes_),
        loose_(*driver_, stream_, changes_),
        graphs_(*driver_, stream_, changes_),
        products_(*driver_, stream_, ops_, changes_, options.deterministic),
        experts_(*driver_, stream_, ops_, changes_, products_),
        latents_(*driver_, stream_, ops_, changes_, products_),
        choices_(*driver_, stream_, ops_, wait_),
        partial_(*driver_, stream_, changes_, "partial attention") {
    if (collectives != nullptr) {
      groups_.emplace(
          GroupGround{*driver_, stream_, ops_, *collectives, changes_, options.deterministic});
    }
  }

  std::string_view name() const override { return name_; }
  void keep_activations() override { products_.keep_activations(); }

  Result<std::unique_ptr<Matrix>> pack(std::span<const WeightView> parts) override {
    BUNDLE_TRY(auto matrix, CudaMatrix::make(*driver_, uploader_, parts));
    return std::unique_ptr<Matrix>(std::move(matrix));
  }

  Result<std::unique_ptr<Experts>> pack_experts(std::span<const ExpertView> experts) override {
    BUNDLE_TRY(auto packed, CudaExperts::make(*driver_, uploader_, experts));
    return std::unique_ptr<Experts>(std::move(packed));
  }

  Result<DeviceVector> place(std::span<const float> values) override;

  std::unique_ptr<Arena> make_arena() override {
    return std::make_unique<CudaArena>(*driver_, problem_, changes_);
  }

  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvShape& shape,
                                                 std::int64_t blocks) override {
    BUNDLE_TRY(auto cache, CudaCache::make(*driver_, shape, blocks, changes_));
    return std::unique_ptr<KvCache>(std::move(cache));
  }

  Result<std::unique_ptr<comm::Communicator>> connect(comm::Communicator& host) override;
  void run_step(const StepInputs& inputs, const std::function<void()>& body) override;
  std::optional<std::uint64_t> free_memory() const override { return driver_->facts().free_bytes; }
  Status status() const override { return problem_ ? driver_status(*driver_) : problem_; }

  void embed(const Matrix& table, std::span<const std::int32_t> ids, Tensor out) override {
    embed_rows(table, 0, ids, out);
  }
  void embed_part(const Matrix& table, std::int64_t first, std::span<const std::int32_t> ids,
                  Tensor out) override {
    clear(out);
    embed_rows(table, first, ids, out);
  }
  void rms_norm(Tensor x, Vector weight, float eps, Tensor out) override;
  void matmul(const Matrix& w, Tensor x, const float* bias, bool accumulate, Tensor y) override {
    multiply(w, x, {}, 0.0f, bias, accumulate, y);
  }
  void norm_matmul(Tensor x, Vector weight, float eps, const Matrix& w, const float* bias,
                   Tensor y) override {
    multiply(w, x, weight, eps, bias, false, y);
  }
  void rope_and_store(Tensor qkv, const AttentionShape& shape, const RopeTable& rope, Vector q_norm,
                      Vector k_norm, float eps, std::span<const Slice> slices, KvCache& cache,
                      std::int64_t layer) override;
  void attention(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
                 const KvCache& cache, std::int64_t layer, Tensor out) override;
  void silu_mul(Tensor gate_up, Tensor out) override;
  void gated_matmul(Tensor x, Vector norm, float eps, const Matrix& w, const float* bias,
                    Tensor both, Tensor out) override;

  void join_norms(Tensor a, Vector a_weight, Tensor b, Vector b_weight, float eps,
                  std::span<const std::int64_t> blank, Tensor out) override;
  void latent_rope_and_store(Tensor q, Tensor latent, const LatentShape& shape,
                             const RopeTable& rope, Vector norm, float eps,
                             std::span<const Slice> slices, KvCache& cache,
                             std::int64_t layer) override;
  void latent_attention(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                        std::span<const Slice> slices, const KvCache& cache, std::int64_t layer,
                        Tensor out) override;
  void route(Tensor logits, const RouterShape& shape, const float* bias, Routing routing) override;
  void run_experts(const Experts& experts, Tensor x, Routing routing, Tensor y) override {
    if (ready()) keep(experts_.run(static_cast<const CudaExperts&>(experts), x, routing, y));
  }
  void gather_rows(Tensor x, std::span<const std::int64_t> rows, Tensor out) override;
  bool chooses(std::int64_t vocabulary) const override { return vocabulary <= kMostChoiceCols; }
  void choose(Tensor logits, std::span<const TokenChoice> choices, std::int32_t* ids) override;
  void clear(Tensor x) override {
    if (ready()) driver_->fill(stream_, x.data, 0, bytes_of(x));
  }
  void place_columns(Tensor x, std::int64_t first, Tensor all) override;
  void read(Tensor x, float* out) override;

 private:
  static std::size_t bytes_of(Tensor x) {
    return static_cast<std::size_t>(x.rows * x.cols) * sizeof(float);
  }
  bool ready() const { return problem_.has_value(); }
  bool keep(Status status) {
    if (status.has_error() && problem_) problem_ = std::move(status);
    return ready();
  }
  void embed_rows(const Matrix& table, std::int64_t first, std::span<const std::int32_t> ids,
                  Tensor out);
  void multiply(const Matrix& w, Tensor x, Vector norm, float eps, const float* bias,
                bool accumulate, Tensor y);
  StepShape shape_of(const StepInputs& inputs) const;
  const RowInputs* loose(const std::function<void(RowInputs&)>& add);
  const DeviceRows* rows_of(std::span<const Slice> slices, std::int64_t count,
                            const KvCache& cache);
  void attend_rows(AttentionArgs args, Tensor qkv, Tensor out);
  const std::int64_t* rows_on_device(std::span<const std::int64_t> rows);

  // In the order in which they depend on each other.
  std::unique_ptr<Driver> driver_;
  Ops ops_;
  DeviceOptions options_;
  std::string name_;
  OwnedStream owned_stream_;
  Stream stream_;
  StreamWait wait_;
  Status problem_;
  std::uint64_t changes_ = 0;  // moves of memory that graphs refer to
  Uploader uploader_;
  RowInputs inputs_;
  RowInputs loose_;  // of calls outside of a step
  StepGraphs graphs_;
  Products products_;
  ExpertRunner experts_;
  LatentRunner latents_;
  ChoiceRunner choices_;
  GrowingBuffer partial_;
  HostBuffer results_;
  std::optional<GroupGround> groups_;  // none: no transport between devices
  bool in_step_ = false;
};

Result<std::unique_ptr<comm::Communicator>> CudaDevice::connect(comm::Communicator& host) {
  if (!groups_) return failed("this device cannot be one of several");
  BUNDLE_TRY(auto ranks, GpuCommunicator::make(*groups_, host));
  wait_.watch(*ranks);
  return std::unique_ptr<comm::Communicator>(std::move(ranks));
}

Result<DeviceVector> CudaDevice::place(std::span<const float> values) {
  const std::size_t bytes = values.size_bytes();
  BUNDLE_TRY(DeviceBuffer memory,
             DeviceBuffer::make(*driver_, bytes, MemoryKind::kWeights, "the weights"));
  BUNDLE_CHECK(uploader_.upload(
      memory.data(), 1, bytes,
      [&](std::int64_t, std::int64_t, std::byte* out) { std::memcpy(out, values.data(), bytes); }));
  const auto owner = std::make_shared<DeviceBuffer>(std::move(memory));
  const auto* data = reinterpret_cast<const float*>(owner->data());
  return DeviceVector(std::shared_ptr<const float>(owner, data),
                      static_cast<std::int64_t>(values.size()));
}

/// No sequences when the step is none to keep: prompts have a shape of their own each.
StepShape CudaDevice::shape_of(const StepInputs& inputs) const {
  StepShape shape;
  const auto count = static_cast<std::int64_t>(inputs.slices.size());
  std::int64_t reach = 1;
  for (const Slice& slice : inputs.slices) {
    if (slice.rows != 1) return shape;
    reach = std::max(reach, slice.position + 1);
  }
  if (inputs.kept_slices.size() != inputs.slices.size() || count > kMostGraphSequences) {
    return shape;
  }
  shape.cache = inputs.cache;
  shape.sequences = count;
  shape.max_positions = static_cast<std::int64_t>(
      std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(reach, 64))));
  return shape;
}

void CudaDevice::run_step(const StepInputs& inputs, const std::function<void()>& body) {
  if (!ready()) return;
  const auto rows = static_cast<std::int64_t>(inputs.ids.size());
  const auto kept = static_cast<std::int64_t>(inputs.kept_rows.size());
  const std::int64_t block_tokens = inputs.cache->shape().block_tokens;
  const StepShape shape = shape_of(inputs);
  const bool tiles = !options_.deterministic;
  inputs_.begin();
  inputs_.add_ids(inputs.ids);
  inputs_.add_rows(inputs.kept_rows);
  inputs_.add_slices(inputs.slices, rows, block_tokens, shape.max_positions, tiles);
  inputs_.add_slices(inputs.kept_slices, kept, block_tokens, shape.max_positions, tiles);
  if (!keep(inputs_.flush())) return;
  in_step_ = true;
  if (options_.graphs && shape.sequences > 0) {
    graphs_.run(shape, body);
  } else {
    body();
  }
  in_step_ = false;
}

/// Copies what a call outside of a step names; null when that failed.
const RowInputs* CudaDevice::loose(const std::function<void(RowInputs&)>& add) {
  graphs_.spoil();
  loose_.begin();
  add(loose_);
  return keep(loose_.flush()) ? &loose_ : nullptr;
}

const DeviceRows* CudaDevice::rows_of(std::span<const Slice> slices, std::int64_t count,
                                      const KvCache& cache) {
  const DeviceRows* found = in_step_ ? inputs_.slices(slices) : nullptr;
  if (found != nullptr) return found;
  const RowInputs* copied = loose([&](RowInputs& inputs) {
    inputs.add_slices(slices, count, cache.shape().block_tokens, 0, !options_.deterministic);
  });
  return copied == nullptr ? nullptr : copied->slices(slices);
}

/// Rows of other tokens than the table's are left alone.
void CudaDevice::embed_rows(const Matrix& table, std::int64_t first,
                            std::span<const std::int32_t> ids, Tensor out) {
  if (!ready()) return;
  const std::int32_t* on_device = in_step_ ? inputs_.ids(ids) : nullptr;
  if (on_device == nullptr) {
    const RowInputs* copied = loose([&](RowInputs& inputs) { inputs.add_ids(ids); });
    if (copied == nullptr) return;
    on_device = copied->ids(ids);
  }
  for (const CudaMatrix::Run& run : cuda(table).runs()) {
    ops_.embed(stream_, {run.matrix, first + run.first_row, on_device, out.f32(), out.rows});
  }
}

void CudaDevice::rms_norm(Tensor x, Vector weight, float eps, Tensor out) {
  if (ready()) ops_.rms_norm(stream_, {x.f32(), weight.data, out.f32(), x.rows, x.cols, eps});
}

void CudaDevice::multiply(const Matrix& w, Tensor x, Vector norm, float eps, const float* bias,
                          bool accumulate, Tensor y) {
  if (!ready()) return;
  for (const CudaMatrix::Run& run : cuda(w).runs()) {
    MatmulArgs args{};
    args.w = run.matrix;
    args.x = x.f32();
    args.norm = norm.data;
    args.eps = eps;
    args.bias = bias == nullptr ? nullptr : bias + run.first_row;
    args.y = y.f32() + run.first_row;
    args.y_stride = y.cols;
    args.tokens = x.rows;
    args.accumulate = accumulate;
    if (!keep(products_.run(args))) return;
  }
}

void CudaDevice::rope_and_store(Tensor qkv, const AttentionShape& shape, const RopeTable& rope,
                                Vector q_norm, Vector k_norm, float eps,
                                std::span<const Slice> slices, KvCache& cache, std::int64_t layer) {
  if (!ready()) return;
  const DeviceRows* rows = rows_of(slices, qkv.rows, cache);
  if (rows == nullptr) return;
  RopeStoreArgs args{};
  args.qkv = qkv.f32();
  args.rows = qkv.rows;
  args.heads = static_cast<int>(shape.heads);
  args.q_norm = q_norm.data;
  args.k_norm = k_norm.data;
  args.eps = eps;
  args.inv_freq = rope.inv_freq;
  args.rotary_dim = static_cast<int>(rope.rotary_dim);
  args.scale = rope.scale;
  args.interleaved = rope.interleaved;
  args.map = rows->map;
  args.cache = cuda(cache).layer(layer);
  ops_.rope_store(stream_, args);
}

void CudaDevice::attention(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
                           const KvCache& cache, std::int64_t layer, Tensor out) {
  if (!ready() || qkv.rows == 0) return;
  const DeviceRows* rows = rows_of(slices, qkv.rows, cache);
  if (rows == nullptr) return;
  const CacheLayer device_layer = cuda(cache).layer(layer);
  const bool tiles = rows->tile_count > 0 && shape.head_dim <= kMostTiledHeadDim;
  if (tiles) {
    ops_.attention_tiles(stream_, {qkv.f32(), qkv.cols, out.f32(), rows->tiles, rows->tile_count,
                                   static_cast<int>(shape.heads), shape.scale, shape.sliding_window,
                                   rows->map, device_layer});
  }
  if (tiles && rows->singles == 0) return;
  AttentionArgs args{};
  args.qkv_stride = qkv.cols;
  args.heads = static_cast<int>(shape.heads);
  args.scale = shape.scale;
  args.window = shape.sliding_window;
  args.map = rows->map;
  if (tiles) args.map.positions = rows->single_positions;
  args.cache = device_layer;
  args.max_positions = tiles ? rows->single_reach : rows->max_positions;
  attend_rows(args, qkv, out);
}

/// In parts whose partial results fit into the memory for them.
void CudaDevice::attend_rows(AttentionArgs args, Tensor qkv, Tensor out) {
  const RowMap map = args.map;
  const std::int64_t floats_a_row =
      attention_partial_floats(1, args.heads, args.cache.stride, args.max_positions);
  const std::int64_t at_once =
      floats_a_row == 0 ? qkv.rows
                        : std::clamp<std::int64_t>(kPartialFloats / floats_a_row, 1, qkv.rows);
  if (!keep(partial_.reserve_floats(at_once * floats_a_row))) return;
  args.partial = partial_.floats();
  for (std::int64_t first = 0; first < qkv.rows; first += at_once) {
    args.qkv = qkv.f32() + first * qkv.cols;
    args.out = out.f32() + first * out.cols;
    args.rows = std::min(at_once, qkv.rows - first);
    args.map.positions = map.positions + first;
    args.map.tables = map.tables + first;
    ops_.attention(stream_, args);
  }
}

void CudaDevice::silu_mul(Tensor gate_up, Tensor out) {
  if (ready()) ops_.silu_mul(stream_, {gate_up.f32(), out.f32(), out.rows, out.cols});
}

/// In one kernel where the gate's and the other rows are of one type.
void CudaDevice::gated_matmul(Tensor x, Vector norm, float eps, const Matrix& w, const float* bias,
                              Tensor both, Tensor out) {
  const auto runs = cuda(w).runs();
  MatmulArgs args{};
  args.w = runs.front().matrix;
  args.x = x.f32();
  args.norm = norm.data;
  args.eps = eps;
  args.bias = bias;
  args.y = out.f32();
  args.y_stride = out.cols;
  args.tokens = x.rows;
  args.gated = true;
  if (products_.many(x.rows) || runs.size() > 1 || !products_.takes_gate(args)) {
    return Device::gated_matmul(x, norm, eps, w, bias, both, out);
  }
  if (ready()) ops_.matmul(stream_, args);
}

const std::int64_t* CudaDevice::rows_on_device(std::span<const std::int64_t> rows) {
  const std::int64_t* found = in_step_ ? inputs_.rows(rows) : nullptr;
  if (found != nullptr) return found;
  const RowInputs* copied = loose([&](RowInputs& inputs) { inputs.add_rows(rows); });
  return copied == nullptr ? nullptr : copied->rows(rows);
}

void CudaDevice::gather_rows(Tensor x, std::span<const std::int64_t> rows, Tensor out) {
  if (!ready()) return;
  const std::int64_t* on_device = rows_on_device(rows);
  if (on_device == nullptr) return;
  ops_.gather(stream_,
              {x.f32(), on_device, out.f32(), static_cast<std::int64_t>(rows.size()), x.cols});
}

void CudaDevice::join_norms(Tensor a, Vector a_weight, Tensor b, Vector b_weight, float eps,
                            std::span<const std::int64_t> blank, Tensor out) {
  if (!ready()) return;
  ops_.rms_norm(stream_, {a.f32(), a_weight.data, out.f32(), a.rows, a.cols, eps, out.cols});
  ops_.rms_norm(stream_,
                {b.f32(), b_weight.data, out.f32() + a.cols, b.rows, b.cols, eps, out.cols});
  if (blank.empty()) return;
  const std::int64_t* on_device = rows_on_device(blank);
  if (on_device == nullptr) return;
  ops_.blank(stream_,
             {on_device, out.f32(), static_cast<std::int64_t>(blank.size()), a.cols, out.cols});
}

void CudaDevice::latent_rope_and_store(Tensor q, Tensor latent, const LatentShape& shape,
                                       const RopeTable& rope, Vector norm, float eps,
                                       std::span<const Slice> slices, KvCache& cache,
                                       std::int64_t layer) {
  if (!ready()) return;
  const DeviceRows* rows = rows_of(slices, q.rows, cache);
  if (rows == nullptr) return;
  LatentStoreArgs args{};
  args.q = q.f32();
  args.rows = q.rows;
  args.heads = static_cast<int>(shape.heads);
  args.nope_dim = static_cast<int>(shape.nope_dim);
  args.rope_dim = static_cast<int>(shape.rope_dim);
  args.latent = latent.f32();
  args.rank = static_cast<int>(shape.rank);
  args.norm = norm.data;
  args.eps = eps;
  args.inv_freq = rope.inv_freq;
  args.scale = rope.scale;
  args.interleaved = rope.interleaved;
  args.map = rows->map;
  args.cache = cuda(cache).layer(layer);
  ops_.latent_store(stream_, args);
}

void CudaDevice::latent_attention(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                                  std::span<const Slice> slices, const KvCache& cache,
                                  std::int64_t layer, Tensor out) {
  if (!ready() || q.rows == 0) return;
  const DeviceRows* rows = rows_of(slices, q.rows, cache);
  if (rows == nullptr) return;
  keep(latents_.run(q, shape, weights, *rows, cuda(cache).layer(layer), out));
}

void CudaDevice::route(Tensor logits, const RouterShape& shape, const float* bias,
                       Routing routing) {
  if (!ready()) return;
  RouteArgs args{};
  args.logits = logits.f32();
  args.bias = bias;
  args.chosen = routing.experts;
  args.weights = routing.weights;
  args.rows = logits.rows;
  args.experts = static_cast<int>(shape.experts);
  args.top_k = static_cast<int>(shape.top_k);
  args.groups = static_cast<int>(shape.groups);
  args.top_groups = static_cast<int>(shape.top_groups);
  args.group_best = static_cast<int>(shape.group_best);
  args.sigmoid = shape.sigmoid;
  args.normalize = shape.normalize;
  args.scale = shape.scale;
  if (shape.experts > kMostExperts || shape.groups > kMostGroups || shape.top_k > kMostChosen) {
    keep(bad_input("the CUDA kernels route to at most " + std::to_string(kMostExperts) +
                   " experts in " + std::to_string(kMostGroups) + " groups, " +
                   std::to_string(kMostChosen) + " a token"));
    return;
  }
  ops_.route(stream_, args);
}

void CudaDevice::choose(Tensor logits, std::span<const TokenChoice> choices, std::int32_t* ids) {
  std::fill_n(ids, choices.size(), -1);
  while (ready() && !choices.empty()) {
    const auto count = std::min(choices.size(), static_cast<std::size_t>(kMostChoices));
    keep(choices_.run(logits, choices.first(count), ids));
    choices = choices.subspan(count);
    ids += count;
  }
}

void CudaDevice::place_columns(Tensor x, std::int64_t first, Tensor all) {
  if (!ready()) return;
  driver_->copy_rows(stream_, all.f32() + first, static_cast<std::size_t>(all.cols) * sizeof(float),
                     x.data, static_cast<std::size_t>(x.cols) * sizeof(float),
                     static_cast<std::size_t>(x.cols) * sizeof(float),
                     static_cast<std::size_t>(x.rows));
}

void CudaDevice::read(Tensor x, float* out) {
  const std::size_t bytes = bytes_of(x);
  if (ready() && results_.bytes() < bytes) {
    auto larger = HostBuffer::make(*driver_, bytes);
    if (larger.has_error()) {
      keep(std::move(larger).error());
    } else {
      results_ = *std::move(larger);
    }
  }
  if (ready()) driver_->copy_out(stream_, results_.data(), x.data, bytes);
  if (!ready() || !keep(wait_.wait())) {
    std::fill_n(out, x.rows * x.cols, 0.0f);  // the caller asks status() before it uses them
    return;
  }
  std::memcpy(out, results_.data(), bytes);
}

}  // namespace

Result<std::unique_ptr<Device>> make_device(std::unique_ptr<Driver> driver, const Ops& ops,
                                            const DeviceOptions& options,
                                            const CollectiveTable* collectives) {
  BUNDLE_CHECK(driver_status(*driver));
  return std::unique_ptr<Device>(
      std::make_unique<CudaDevice>(std::move(driver), ops, options, collectives));
}

}  // namespace bundle::kernels::cuda
