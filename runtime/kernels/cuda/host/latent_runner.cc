#include "runtime/kernels/cuda/host/latent_runner.h"

#include <algorithm>

#include "runtime/kernels/cuda/host/cuda_matrix.h"

namespace bundle::kernels::cuda {
namespace {

/// A batch goes through in parts whose queries and mixed latents fit here.
constexpr std::int64_t kPartFloats = std::int64_t{64} << 20;

/// A product with one matrix a head: x and y (rows, heads, …), of which the matrices read and write
/// the first columns.
struct HeadProduct {
  const Matrix* stack;
  std::int64_t heads;
  const float* x;
  std::int64_t x_dim;  // of a head
  float* y;
  std::int64_t y_dim;
  std::int64_t rows;
};

MatmulArgs args_of(const HeadProduct& product) {
  MatmulArgs args{};
  args.w = static_cast<const CudaMatrix*>(product.stack)->runs().front().matrix;
  args.x = product.x;
  args.x_stride = product.heads * product.x_dim;
  args.y = product.y;
  args.y_stride = product.heads * product.y_dim;
  args.tokens = product.rows;
  args.stack.count = product.heads;
  args.stack.x_step = product.x_dim;
  args.stack.y_step = product.y_dim;
  return args;
}

}  // namespace

Status LatentRunner::run(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                         const DeviceRows& rows, const CacheLayer& cache, Tensor out) {
  if (q.rows == 0) return {};
  const std::int64_t partial =
      latent_partial_floats(1, shape.heads, shape.rank, rows.max_positions);
  const std::int64_t each = 2 * shape.heads * shape.rank + partial;
  const std::int64_t at_once = std::clamp<std::int64_t>(kPartFloats / each, 1, q.rows);
  BUNDLE_CHECK(work_.reserve_floats(at_once * each));
  LatentAttentionArgs args{};
  args.heads = static_cast<int>(shape.heads);
  args.nope_dim = static_cast<int>(shape.nope_dim);
  args.rope_dim = static_cast<int>(shape.rope_dim);
  args.rank = static_cast<int>(shape.rank);
  args.scale = shape.scale;
  args.map = rows.map;
  args.cache = cache;
  args.max_positions = rows.max_positions;
  for (std::int64_t first = 0; first < q.rows; first += at_once) {
    args.rows = std::min(at_once, q.rows - first);
    args.map.positions = rows.map.positions + first;
    args.map.tables = rows.map.tables + first;
    args.partial = partial == 0 ? nullptr : work_.floats() + 2 * at_once * shape.heads * shape.rank;
    BUNDLE_CHECK(run_part({q.f32() + first * q.cols, args.rows, q.cols}, shape, weights, args,
                          {out.f32() + first * out.cols, args.rows, out.cols}));
  }
  return {};
}

Status LatentRunner::run_part(Tensor q, const LatentShape& shape, const LatentWeights& weights,
                              LatentAttentionArgs args, Tensor out) {
  float* query = work_.floats();
  float* mixed = query + q.rows * shape.heads * shape.rank;
  BUNDLE_CHECK(products_.run(args_of(
      {weights.key_absorb, shape.heads, q.f32(), shape.query_dim(), query, shape.rank, q.rows})));
  args.query = query;
  args.q = q.f32();
  args.out = mixed;
  ops_.latent_attention(stream_, args);
  return products_.run(args_of(
      {weights.value_up, shape.heads, mixed, shape.rank, out.f32(), shape.value_dim, q.rows}));
}

}  // namespace bundle::kernels::cuda
