#include "tests/bench/profiled_device.h"

#include <chrono>
#include <cmath>

namespace bundle::kernels {
namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double rounded_percent(double part, double whole) { return std::round(1000.0 * part / whole) / 10; }

}  // namespace

template <typename Body>
void ProfiledDevice::timed(Part part, const Body& body) {
  const double start = seconds();
  body();
  spent_[part] += seconds() - start;
}

void ProfiledDevice::reset() {
  spent_.fill(0.0);
  since_ = seconds();
}

JsonObject ProfiledDevice::percent() const {
  constexpr std::string_view names[kParts] = {
      "embed",          "rms_norm",    "matmul", "norm_matmul",
      "rope_and_store", "attention",   "route",  "run_experts",
      "silu_mul",       "gather_rows", "read"};
  const double whole = seconds() - since_;
  double rest = whole;
  JsonObject shares;
  for (int part = 0; part < kParts; ++part) {
    shares[names[part]] = rounded_percent(spent_[part], whole);
    rest -= spent_[part];
  }
  shares["model"] = rounded_percent(rest, whole);
  return shares;
}

void ProfiledDevice::embed(const Matrix& table, std::span<const std::int32_t> ids, Tensor out) {
  timed(kEmbed, [&] { device_.embed(table, ids, out); });
}

void ProfiledDevice::rms_norm(Tensor x, Vector weight, float eps, Tensor out) {
  timed(kNorm, [&] { device_.rms_norm(x, weight, eps, out); });
}

void ProfiledDevice::join_norms(Tensor a, Vector a_weight, Tensor b, Vector b_weight, float eps,
                                std::span<const std::int64_t> blank, Tensor out) {
  timed(kNorm, [&] { device_.join_norms(a, a_weight, b, b_weight, eps, blank, out); });
}

void ProfiledDevice::matmul(const Matrix& w, Tensor x, const float* bias, bool accumulate,
                            Tensor y) {
  timed(kMatmul, [&] { device_.matmul(w, x, bias, accumulate, y); });
}

void ProfiledDevice::norm_matmul(Tensor x, Vector weight, float eps, const Matrix& w,
                                 const float* bias, Tensor y) {
  timed(kNormMatmul, [&] { device_.norm_matmul(x, weight, eps, w, bias, y); });
}

void ProfiledDevice::rope_and_store(Tensor qkv, const AttentionShape& shape, const RopeTable& rope,
                                    Vector q_norm, Vector k_norm, float eps,
                                    std::span<const Slice> slices, KvCache& cache,
                                    std::int64_t layer) {
  timed(kRope, [&] {
    device_.rope_and_store(qkv, shape, rope, q_norm, k_norm, eps, slices, cache, layer);
  });
}

void ProfiledDevice::attention(Tensor qkv, const AttentionShape& shape,
                               std::span<const Slice> slices, const KvCache& cache,
                               std::int64_t layer, Tensor out) {
  timed(kAttention, [&] { device_.attention(qkv, shape, slices, cache, layer, out); });
}

void ProfiledDevice::latent_rope_and_store(Tensor q, Tensor latent, const LatentShape& shape,
                                           const RopeTable& rope, Vector norm, float eps,
                                           std::span<const Slice> slices, KvCache& cache,
                                           std::int64_t layer) {
  timed(kRope, [&] {
    device_.latent_rope_and_store(q, latent, shape, rope, norm, eps, slices, cache, layer);
  });
}

void ProfiledDevice::latent_attention(Tensor q, const LatentShape& shape,
                                      const LatentWeights& weights, std::span<const Slice> slices,
                                      const KvCache& cache, std::int64_t layer, Tensor out) {
  timed(kAttention,
        [&] { device_.latent_attention(q, shape, weights, slices, cache, layer, out); });
}

void ProfiledDevice::route(Tensor logits, const RouterShape& shape, const float* bias,
                           Routing routing) {
  timed(kRoute, [&] { device_.route(logits, shape, bias, routing); });
}

void ProfiledDevice::run_experts(const Experts& experts, Tensor x, Routing routing, Tensor y) {
  timed(kExperts, [&] { device_.run_experts(experts, x, routing, y); });
}

void ProfiledDevice::silu_mul(Tensor gate_up, Tensor out) {
  timed(kSilu, [&] { device_.silu_mul(gate_up, out); });
}

void ProfiledDevice::gather_rows(Tensor x, std::span<const std::int64_t> rows, Tensor out) {
  timed(kGather, [&] { device_.gather_rows(x, rows, out); });
}

void ProfiledDevice::read(Tensor x, float* out) {
  timed(kRead, [&] { device_.read(x, out); });
}

}  // namespace bundle::kernels
