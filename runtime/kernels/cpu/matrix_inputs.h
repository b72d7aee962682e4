// The activations that a packed matrix multiplies: its parts may be of different types and want
// different conversions, and each kind is made once.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/kernels/cpu/kernel_table.h"
#include "runtime/kernels/cpu/packed_matrix.h"

namespace bundle::kernels::cpu {

inline ActivationKind activation_kind(const KernelTable& table, DType weights) {
  if (is_quantized(weights) || weights == DType::kI8) return ActivationKind::kInt15;
  if (weights == DType::kF8E4M3) return ActivationKind::kLifted;
  if (weights == DType::kBF16 && table.bf16_dot) return ActivationKind::kBf16;
  return ActivationKind::kF32;
}

/// Where the conversions of `tokens` rows lie in one piece of memory.
class MatrixInputs {
 public:
  struct Input {
    ActivationLayout layout;
    bool used = false;
    std::int64_t at = 0;  // offset in bytes, a multiple of 64
  };

  MatrixInputs(const KernelTable& table, const PackedMatrix& matrix, std::int64_t tokens)
      : table_(table) {
    for (const PackedPart& part : matrix.parts()) {
      Input& input = inputs_[static_cast<int>(activation_kind(table, part.layout.type))];
      input.used = true;
      input.layout.kind = activation_kind(table, part.layout.type);
      input.layout.cols = matrix.cols();
      input.layout.sums16 |= needs_sums16(part.layout.type);
    }
    for (Input& input : inputs_) {
      input.at = bytes_;
      if (input.used) bytes_ += (tokens * input.layout.token_bytes() + 63) / 64 * 64;
    }
  }

  std::int64_t bytes() const { return bytes_; }
  std::span<const Input> all() const { return inputs_; }
  const Input& of(DType weights) const {
    return inputs_[static_cast<int>(activation_kind(table_, weights))];
  }

 private:
  const KernelTable& table_;
  Input inputs_[kActivationKinds];
  std::int64_t bytes_ = 0;
};

/// Multiplies blocks begin … end − 1, counted over the whole matrix. `args` has tokens, y,
/// y_stride, bias and accumulate for all rows; `activations` is what `inputs` describes, of which
/// the tokens from `first_token` on are meant.
void multiply_blocks(const KernelTable& table, const PackedMatrix& matrix,
                     const MatrixInputs& inputs, const std::byte* activations, std::int64_t begin,
                     std::int64_t end, GemmArgs args, std::int64_t first_token = 0);

}  // namespace bundle::kernels::cpu
