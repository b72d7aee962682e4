// 8-bit integer weights, each row's (or each block's) scale a float for 128 columns: Q8_0's
// products, whose codes lie alike, under wider records.
#include "runtime/kernels/cpu/simd/gemm_quant.h"
#include "runtime/kernels/cpu/simd/table.h"

namespace bundle::kernels::cpu::BUNDLE_ISA {
namespace {

struct Int8Kernel {
  using Codes = QuantKernel<DType::kQ8_0>;

  static constexpr std::int64_t kBlockColumns = 128;
  static constexpr std::int64_t kScaleBytes = 4 * kPackRows;  // at the start of a record

  static constexpr int vectors(int tokens) { return Codes::vectors(tokens); }

  /// 32 columns, whose codes lie at `unit`.
  template <int T>
  BUNDLE_INLINE void add_unit(const std::byte* unit, F32 scale, const std::byte* activations,
                              F32 (&sums)[T]) {
    const ColumnScales<1> scales{{scale}, {zero()}};
    const auto x = ColumnActivations::at(activations, T, false);
    ColumnProducts<Codes>::template add<T>(unit, scales, x, sums);
  }

  template <int T, int V>
  BUNDLE_INLINE void add_tile(const GemmArgs& args, const std::byte* block, int lane,
                              const std::byte* activations, F32 (&sums)[V][T]) {
    const std::int64_t activation_bytes = T * args.activation_layout.record_bytes();
    const std::byte* record = block;
    for (std::int64_t c = 0; c < args.layout->cols; c += kBlockColumns) {
      const std::int64_t units = min_of(kBlockColumns, args.layout->cols - c) / kInt8Columns;
      const std::byte* unit = record + kScaleBytes + lane * 4;
      F32 scale[V];
      BUNDLE_UNROLL
      for (int v = 0; v < V; ++v)
        scale[v] = load(reinterpret_cast<const float*>(record) + lane + v * kLanes);
      for (std::int64_t i = 0; i < units; ++i) {
        if constexpr (T <= kStreamingTokens) Codes::prefetch(unit);
        BUNDLE_UNROLL
        for (int v = 0; v < V; ++v)
          add_unit<T>(unit + 4 * v * kLanes, scale[v], activations, sums[v]);
        unit += Codes::kUnitBytes;
        activations += activation_bytes;
      }
      record += args.layout->record_bytes;
    }
  }
};

}  // namespace

void add_int8_gemm(KernelTable& table) {
  table.gemm[static_cast<int>(DType::kI8)] = gemm<Int8Kernel>;
}

}  // namespace bundle::kernels::cpu::BUNDLE_ISA
