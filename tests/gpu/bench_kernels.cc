#include <numeric>

#include "runtime/kernels/cuda/host/wide_shape.h"
#include "tests/gpu/bench.h"
#include "tests/gpu/random_matrix.h"

namespace bundle::kernels::cuda {
namespace {

/// Matrices are used in turn, so that no weight is found in the cache that holds the last ones.
constexpr double kTurnBytes = 300e6;

Timing bench_product(const Subject& subject, DType type, std::int64_t rows, std::int64_t cols,
                     std::int64_t tokens, double published_us) {
  Pool pool(subject);
  Timing timing{"product " + std::string(dtype_info(type).name) + " " + std::to_string(rows) + "x" +
                    std::to_string(cols) + " tokens " + std::to_string(tokens),
                0,
                matrix_bytes(type, rows, cols),
                0,
                published_us,
                ""};
  const int turns = subject.large ? static_cast<int>(kTurnBytes / timing.bytes) + 1 : 1;
  std::vector<DeviceMatrix> matrices;
  const bool scaled = type == DType::kF8E4M3;
  const auto* scales =
      pool.place(std::vector<float>(scaled ? (rows + 127) / 128 * ((cols + 127) / 128) : 1, 1.0f));
  for (int i = 0; i < turns; ++i) {
    matrices.push_back(random_matrix(pool, type, rows, cols));
    if (scaled) matrices.back().block_scales = scales;
  }
  const auto* x = pool.take_array<float>(tokens * cols);
  auto* y = pool.take_array<float>(tokens * rows);
  if (pool.exhausted()) {
    timing.problem = "not enough memory";
    return timing;
  }
  auto* planes = pool.take_array<std::uint16_t>(tokens * (cols + kWideColumns));
  auto* partial = pool.take_array<float>(8 * tokens * rows);
  const double all = median_microseconds(subject, subject.large ? 20 : 1, [&] {
    for (const DeviceMatrix& matrix : matrices) {
      const MatmulArgs args{matrix, x, nullptr, 0.0f, nullptr, y, rows, tokens, false};
      if (tokens > kFewTokens) {
        multiply_wide(subject, args, planes, partial);
      } else {
        subject.ops.matmul(subject.stream, args);
      }
    }
  });
  timing.microseconds = all / turns;
  return timing;
}

Timing bench_decode_attention(const Subject& subject, std::int64_t sequences,
                              std::int64_t positions, double published_us) {
  constexpr int kHeads = 32;
  constexpr int kKvHeads = 8;
  constexpr int kHeadDim = 128;
  constexpr int kBlock = 16;
  Pool pool(subject);
  const std::int64_t blocks_each = (positions + kBlock - 1) / kBlock;
  const std::int64_t elements = 2 * sequences * blocks_each * kBlock * kKvHeads * kHeadDim;
  Timing timing{"attention 32/8x128 BF16, " + std::to_string(sequences) + " sequences of " +
                    std::to_string(positions),
                0,
                2.0 * static_cast<double>(elements),
                0,
                published_us,
                ""};
  CacheLayer layer{};
  layer.data = pool.take(static_cast<std::size_t>(2 * elements));
  layer.type = CacheType::kBF16;
  layer.blocks = sequences * blocks_each;
  layer.block_tokens = kBlock;
  layer.kv_heads = kKvHeads;
  layer.head_dim = layer.stride = kHeadDim;
  std::vector<std::int32_t> tables, blocks(static_cast<std::size_t>(layer.blocks));
  std::iota(blocks.begin(), blocks.end(), 0);
  for (std::int64_t i = 0; i < sequences; ++i) {
    tables.push_back(static_cast<std::int32_t>(i * blocks_each));
  }
  const std::vector<std::int32_t> ends(tables.size(), static_cast<std::int32_t>(positions - 1));
  const RowMap map{pool.place(ends), pool.place(tables), pool.place(blocks)};
  const std::int64_t cols = (kHeads + 2 * kKvHeads) * kHeadDim;
  const auto* qkv = pool.take_array<float>(sequences * cols);
  auto* out = pool.take_array<float>(sequences * kHeads * kHeadDim);
  auto* partial =
      pool.take_array<float>(attention_partial_floats(sequences, kHeads, layer.stride, positions));
  if (pool.exhausted()) {
    timing.problem = "not enough memory";
    return timing;
  }
  timing.microseconds = median_microseconds(subject, subject.large ? 30 : 1, [&] {
    subject.ops.attention(subject.stream, {qkv, cols, out, sequences, kHeads, 0.088f, 0, map, layer,
                                           positions, partial});
  });
  return timing;
}

}  // namespace

std::vector<Timing> bench_products(const Subject& subject) {
  std::vector<Timing> timings;
  if (!subject.large) return {bench_product(subject, DType::kBF16, 64, 256, 1, 0)};
  for (const DType type : {DType::kBF16, DType::kF8E4M3, DType::kQ8_0, DType::kQ4K}) {
    for (const std::int64_t tokens : {1, 2, 4, 8}) {
      const bool one = type == DType::kBF16 && tokens == 1;
      timings.push_back(bench_product(subject, type, 6144, 4096, tokens, one ? 16.1 : 0));
      timings.push_back(bench_product(subject, type, 4096, 4096, tokens, one ? 12.6 : 0));
      timings.push_back(bench_product(subject, type, 28672, 4096, tokens, one ? 60 : 0));
      timings.push_back(bench_product(subject, type, 4096, 14336, tokens, one ? 32.5 : 0));
    }
  }
  for (const DType type : {DType::kBF16, DType::kF8E4M3}) {
    for (const std::int64_t tokens : {16, 32, 64, 128, 256, 2048}) {
      timings.push_back(bench_product(subject, type, 4096, 4096, tokens, 0));
      timings.push_back(bench_product(subject, type, 28672, 4096, tokens, 0));
      timings.push_back(bench_product(subject, type, 4096, 14336, tokens, 0));
    }
  }
  timings.push_back(bench_product(subject, DType::kBF16, 128256, 4096, 1, 266));
  timings.push_back(bench_product(subject, DType::kF8E4M3, 4096, 7168, 1, 15.0));
  return timings;
}

std::vector<Timing> bench_attention(const Subject& subject) {
  if (!subject.large) return {bench_decode_attention(subject, 2, 100, 0)};
  return {bench_decode_attention(subject, 1, 1024, 13.6),
          bench_decode_attention(subject, 1, 8192, 16.2),
          bench_decode_attention(subject, 32, 4096, 131),
          bench_decode_attention(subject, 128, 4096, 491)};
}

}  // namespace bundle::kernels::cuda
