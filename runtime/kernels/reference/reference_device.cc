// The yardstick: every function in the fewest steps that are plainly right. Weights are widened to
// float32 element by element, sums run in a fixed order, there is one thread.
#include <algorithm>

#include "runtime/kernels/choose_experts.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/kernels/reference/plain_arena.h"
#include "runtime/kernels/reference/plain_attention.h"
#include "runtime/kernels/reference/plain_cache.h"
#include "runtime/kernels/reference/plain_experts.h"
#include "runtime/kernels/reference/plain_latent_attention.h"
#include "runtime/kernels/reference/plain_matrix.h"

namespace bundle::kernels {
namespace reference {
namespace {

const PlainMatrix& plain(const Matrix& matrix) { return static_cast<const PlainMatrix&>(matrix); }

float* row_of(Tensor x, std::int64_t row) { return x.f32() + row * x.cols; }

class ReferenceDevice final : public Device {
 public:
  std::string_view name() const override { return "cpu-reference"; }

  Result<std::unique_ptr<Matrix>> pack(std::span<const WeightView> parts) override {
    BUNDLE_TRY(PlainMatrix matrix, PlainMatrix::make(parts));
    return std::unique_ptr<Matrix>(std::make_unique<PlainMatrix>(std::move(matrix)));
  }

  Result<std::unique_ptr<Experts>> pack_experts(std::span<const ExpertView> experts) override {
    BUNDLE_TRY(PlainExperts plain, PlainExperts::make(experts));
    return std::unique_ptr<Experts>(std::make_unique<PlainExperts>(std::move(plain)));
  }

  std::unique_ptr<Arena> make_arena() override { return std::make_unique<PlainArena>(); }

  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvShape& shape,
                                                 std::int64_t blocks) override {
    BUNDLE_TRY(auto cache, PlainCache::make(shape, blocks));
    return std::unique_ptr<KvCache>(std::move(cache));
  }

  void embed(const Matrix& table, std::span<const std::int32_t> ids, Tensor out) override {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      plain(table).widen_row(ids[i], row_of(out, static_cast<std::int64_t>(i)));
    }
  }

  void rms_norm(Tensor x, Vector weight, float eps, Tensor out) override {
    for (std::int64_t i = 0; i < x.rows; ++i) {
      rms_norm_row(row_of(x, i), weight.data, x.cols, eps, row_of(out, i));
    }
  }

  void join_norms(Tensor a, Vector a_weight, Tensor b, Vector b_weight, float eps,
                  std::span<const std::int64_t> blank, Tensor out) override {
    for (std::int64_t i = 0; i < a.rows; ++i) {
      rms_norm_row(row_of(a, i), a_weight.data, a.cols, eps, row_of(out, i));
      rms_norm_row(row_of(b, i), b_weight.data, b.cols, eps, row_of(out, i) + a.cols);
    }
    for (const std::int64_t i : blank) std::fill_n(row_of(out, i), a.cols, 0.0f);
  }

  void matmul(const Matrix& w, Tensor x, const float* bias, bool accumulate, Tensor y) override {
    multiply(plain(w), x, bias, accumulate, y);
  }

  void norm_matmul(Tensor x, Vector weight, float eps, const Matrix& w, const float* bias,
                   Tensor y) override {
    std::vector<float> normed(static_cast<std::size_t>(x.rows * x.cols));
    const Tensor out{normed.data(), x.rows, x.cols};
    rms_norm(x, weight, eps, out);
    matmul(w, out, bias, false, y);
  }

  void rope_and_store(Tensor qkv, const AttentionShape& shape, const RopeTable& rope, Vector q_norm,
                      Vector k_norm, float eps, std::span<const Slice> slices, KvCache& cache,
                      std::int64_t layer) override {
    reference::rope_and_store(qkv, shape, rope, q_norm, k_norm, eps, slices,
                              static_cast<PlainCache&>(cache), layer);
  }

  void attention(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
                 const KvCache& cache, std::int64_t layer, Tensor out) override {
    attend(qkv, shape, slices, static_cast<const PlainCache&>(cache), layer, out);
  }

  void latent_rope_and_store(Tensor q, Tensor latent, const LatentShape& shape,
                             const RopeTable& rope, Vector norm, float eps,
                             std::span<const Slice> slices, KvCache& cache,
                             std::int64_t layer) override {
    reference::latent_rope_and_store(q, latent, shape, rope, norm, eps, slices,
                                     static_cast<PlainCache&>(cache), layer);
  }

  void latent_attention(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                        std::span<const Slice> slices, const KvCache& cache, std::int64_t layer,
                        Tensor out) override {
    latent_attend(q, shape, weights, slices, static_cast<const PlainCache&>(cache), layer, out);
  }

  void route(Tensor logits, const RouterShape& shape, const float* bias, Routing routing) override {
    for (std::int64_t i = 0; i < logits.rows; ++i) {
      choose_experts(row_of(logits, i), shape, bias, routing.experts + i * routing.top_k,
                     routing.weights + i * routing.top_k);
    }
  }

  void run_experts(const Experts& experts, Tensor x, Routing routing, Tensor y) override {
    static_cast<const PlainExperts&>(experts).run(x, routing, y);
  }

  void silu_mul(Tensor gate_up, Tensor out) override { reference::silu_mul(gate_up, out); }

  void gather_rows(Tensor x, std::span<const std::int64_t> rows, Tensor out) override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(row_of(x, rows[i]), x.cols, row_of(out, static_cast<std::int64_t>(i)));
    }
  }

  void read(Tensor x, float* out) override { std::copy_n(x.f32(), x.rows * x.cols, out); }
};

}  // namespace
}  // namespace reference

std::unique_ptr<Device> make_reference_device() {
  return std::make_unique<reference::ReferenceDevice>();
}

}  // namespace bundle::kernels
