#include "runtime/kernels/cpu/matrix_inputs.h"

#include <algorithm>

namespace bundle::kernels::cpu {

void multiply_blocks(const KernelTable& table, const PackedMatrix& matrix,
                     const MatrixInputs& inputs, const std::byte* activations, std::int64_t begin,
                     std::int64_t end, GemmArgs args, std::int64_t first_token) {
  float* const y = args.y;
  const float* const bias = args.bias;
  for (const PackedPart& part : matrix.parts()) {
    const std::int64_t first = std::max(begin - part.first_block, std::int64_t{0});
    const std::int64_t last = std::min(end - part.first_block, part.blocks);
    if (first >= last) continue;
    const std::int64_t row = first * kPackRows;
    const MatrixInputs::Input& input = inputs.of(part.layout.type);
    args.layout = &part.layout;
    args.weights = part.data + first * part.layout.stride;
    args.rows = std::min(part.rows, last * kPackRows) - row;
    args.activations = activations + input.at + first_token * input.layout.token_bytes();
    args.activation_layout = input.layout;
    args.y = y + part.first_row + row;
    args.bias = bias == nullptr ? nullptr : bias + part.first_row + row;
    table.gemm[static_cast<int>(part.layout.type)](args);
  }
}

}  // namespace bundle::kernels::cpu
