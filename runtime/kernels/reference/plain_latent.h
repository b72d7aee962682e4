// Latent attention of one row and one head in its two forms, in any precision. With U_k (nope,
// rank) and U_v (value, rank) of the head, and a position's latent c (rank) beside its rotated key
// r:
//
//   expanded: score = q_nope·(U_k c) + q_rope·r,    out = Σ w · (U_v c)
//   absorbed: score = (U_kᵀ q_nope)·c + q_rope·r,   out = U_v (Σ w · c)
//
// The second moves U_k to the query and U_v behind the sum: once a row instead of once a position.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "runtime/kernels/device.h"
#include "runtime/kernels/reference/plain_dot.h"

namespace bundle::kernels::reference {

/// One head's matrices, row-major.
template <typename Real>
struct LatentHead {
  const Real* key_up;    // (nope_dim, rank)
  const Real* value_up;  // (value_dim, rank)
};

/// Turns n scores into weights that sum to one.
template <typename Real>
void soften(std::vector<Real>& scores) {
  const Real top = *std::max_element(scores.begin(), scores.end());
  Real sum = 0;
  for (Real& score : scores) sum += score = std::exp(score - top);
  for (Real& score : scores) score /= sum;
}

/// `count` latents (count, latent_dim) to keys (count, query_dim) and values (count, value_dim).
template <typename Real>
struct ExpandedHistory {
  std::vector<Real> keys, values;

  ExpandedHistory(const LatentShape& shape, const LatentHead<Real>& head, const Real* latents,
                  std::int64_t count) {
    for (std::int64_t p = 0; p < count; ++p) {
      const Real* latent = latents + p * shape.latent_dim();
      for (std::int64_t i = 0; i < shape.nope_dim; ++i) {
        keys.push_back(dot(head.key_up + i * shape.rank, latent, shape.rank));
      }
      keys.insert(keys.end(), latent + shape.rank, latent + shape.latent_dim());
      for (std::int64_t i = 0; i < shape.value_dim; ++i) {
        values.push_back(dot(head.value_up + i * shape.rank, latent, shape.rank));
      }
    }
  }
};

/// q (query_dim) attends to the first `count` positions; out (value_dim).
template <typename Real>
void attend_expanded(const LatentShape& shape, const ExpandedHistory<Real>& history, const Real* q,
                     std::int64_t count, Real* out) {
  std::vector<Real> weights;
  for (std::int64_t p = 0; p < count; ++p) {
    const Real* key = history.keys.data() + p * shape.query_dim();
    weights.push_back(static_cast<Real>(shape.scale) * dot(q, key, shape.query_dim()));
  }
  soften(weights);
  std::fill_n(out, shape.value_dim, Real(0));
  for (std::int64_t p = 0; p < count; ++p) {
    const Real* value = history.values.data() + p * shape.value_dim;
    for (std::int64_t i = 0; i < shape.value_dim; ++i) out[i] += weights[p] * value[i];
  }
}

/// The same from latents (count, latent_dim).
template <typename Real>
void attend_absorbed(const LatentShape& shape, const LatentHead<Real>& head, const Real* latents,
                     const Real* q, std::int64_t count, Real* out) {
  std::vector<Real> query(static_cast<std::size_t>(shape.rank));
  for (std::int64_t i = 0; i < shape.nope_dim; ++i) {
    const Real* row = head.key_up + i * shape.rank;
    for (std::int64_t r = 0; r < shape.rank; ++r) query[r] += q[i] * row[r];
  }
  query.insert(query.end(), q + shape.nope_dim, q + shape.query_dim());
  std::vector<Real> weights;
  for (std::int64_t p = 0; p < count; ++p) {
    const Real* latent = latents + p * shape.latent_dim();
    weights.push_back(static_cast<Real>(shape.scale) *
                      dot(query.data(), latent, shape.latent_dim()));
  }
  soften(weights);
  std::vector<Real> mixed(static_cast<std::size_t>(shape.rank));
  for (std::int64_t p = 0; p < count; ++p) {
    const Real* latent = latents + p * shape.latent_dim();
    for (std::int64_t r = 0; r < shape.rank; ++r) mixed[r] += weights[p] * latent[r];
  }
  for (std::int64_t i = 0; i < shape.value_dim; ++i) {
    out[i] = dot(head.value_up + i * shape.rank, mixed.data(), shape.rank);
  }
}

}  // namespace bundle::kernels::reference
