// A device that forwards to another and adds up the time of each function.
#pragma once

#include <array>
#include <string_view>

#include "base/json.h"
#include "runtime/kernels/device.h"

namespace bundle::kernels {

class ProfiledDevice final : public Device {
 public:
  explicit ProfiledDevice(Device& device) : device_(device) {}

  /// Forgets what was measured.
  void reset();
  /// Share of the time since reset() that each function took, and the rest ("model").
  JsonObject percent() const;

  std::string_view name() const override { return device_.name(); }
  Result<std::unique_ptr<Matrix>> pack(std::span<const WeightView> parts) override {
    return device_.pack(parts);
  }
  Result<std::unique_ptr<Experts>> pack_experts(std::span<const ExpertView> experts) override {
    return device_.pack_experts(experts);
  }
  std::unique_ptr<Arena> make_arena() override { return device_.make_arena(); }
  Result<std::unique_ptr<KvCache>> make_kv_cache(const KvShape& shape,
                                                 std::int64_t blocks) override {
    return device_.make_kv_cache(shape, blocks);
  }
  void embed(const Matrix& table, std::span<const std::int32_t> ids, Tensor out) override;
  void rms_norm(Tensor x, Vector weight, float eps, Tensor out) override;
  void join_norms(Tensor a, Vector a_weight, Tensor b, Vector b_weight, float eps,
                  std::span<const std::int64_t> blank, Tensor out) override;
  void matmul(const Matrix& w, Tensor x, const float* bias, bool accumulate, Tensor y) override;
  void norm_matmul(Tensor x, Vector weight, float eps, const Matrix& w, const float* bias,
                   Tensor y) override;
  void rope_and_store(Tensor qkv, const AttentionShape& shape, const RopeTable& rope, Vector q_norm,
                      Vector k_norm, float eps, std::span<const Slice> slices, KvCache& cache,
                      std::int64_t layer) override;
  void attention(Tensor qkv, const AttentionShape& shape, std::span<const Slice> slices,
                 const KvCache& cache, std::int64_t layer, Tensor out) override;
  void latent_rope_and_store(Tensor q, Tensor latent, const LatentShape& shape,
                             const RopeTable& rope, Vector norm, float eps,
                             std::span<const Slice> slices, KvCache& cache,
                             std::int64_t layer) override;
  void latent_attention(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                        std::span<const Slice> slices, const KvCache& cache, std::int64_t layer,
                        Tensor out) override;
  void route(Tensor logits, const RouterShape& shape, const float* bias, Routing routing) override;
  void run_experts(const Experts& experts, Tensor x, Routing routing, Tensor y) override;
  void silu_mul(Tensor gate_up, Tensor out) override;
  void gather_rows(Tensor x, std::span<const std::int64_t> rows, Tensor out) override;
  void read(Tensor x, float* out) override;

 private:
  enum Part {
    kEmbed,
    kNorm,
    kMatmul,
    kNormMatmul,
    kRope,
    kAttention,
    kRoute,
    kExperts,
    kSilu,
    kGather,
    kRead,
    kParts
  };

  template <typename Body>
  void timed(Part part, const Body& body);

  Device& device_;
  std::array<double, kParts> spent_{};
  double since_ = 0.0;
};

}  // namespace bundle::kernels
