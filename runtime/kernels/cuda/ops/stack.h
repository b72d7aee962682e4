// Which matrix of a stack a block of threads multiplies, and by which rows of x.
#pragma once

#include "runtime/kernels/cuda/lane/lane.h"
#include "runtime/kernels/cuda/ops/ops.h"

namespace bundle::kernels::cuda {

/// A block's share of a product. Every thread of the block has the same.
struct Share {
  int matrix;  // its number
  int rows;    // of one matrix
  int first;   // of its tokens, or of its slots in order
  int count;   // of those; 0: nothing to do

  /// Of `tile` tokens a block, the `index`th. Tiles of experts are read, so the kernel before must
  /// have ended then.
  BUNDLE_DEVICE static Share of(const MatmulArgs& a, int tile, int index) {
    const auto rows = static_cast<int>(a.w.rows / a.stack.count);
    if (a.stack.chosen != nullptr) {
      wait_for_previous();
      const int matrix = Global<const std::int32_t>(a.stack.chosen)[index] - a.stack.first;
      return {matrix, rows, index, matrix >= 0 && matrix < a.stack.count ? 1 : 0};
    }
    if (a.stack.tiles != nullptr) {
      wait_for_previous();
      const ExpertTile t = Global<const ExpertTile>(a.stack.tiles)[index];
      return {t.expert, rows, t.first, t.count};
    }
    const int first = index * tile;
    const int left = static_cast<int>(a.tokens) - first;
    return {block_z(), rows, first, left < tile ? left : tile};
  }

  /// Where row r of the matrix lies in the stack; rows past its end repeat its last.
  BUNDLE_DEVICE std::int64_t row(int r) const {
    return std::int64_t{matrix} * rows + (r < rows ? r : rows - 1);
  }
  /// Token i of the block.
  BUNDLE_DEVICE int token(const MatmulArgs& a, int i) const {
    return a.stack.order == nullptr ? first + i
                                    : Global<const std::int32_t>(a.stack.order)[first + i];
  }
  BUNDLE_DEVICE static bool of_experts(const MatmulArgs& a) {
    return a.stack.chosen != nullptr || a.stack.tiles != nullptr;
  }
  /// Where its activations begin.
  BUNDLE_DEVICE std::int64_t x_at(const MatmulArgs& a, int i) const {
    const std::int64_t stride = a.x_stride == 0 ? a.w.cols : a.x_stride;
    if (of_experts(a)) return token(a, i) / a.stack.share * stride;
    return (first + i) * stride + matrix * a.stack.x_step;
  }
  /// Where its results begin.
  BUNDLE_DEVICE std::int64_t y_at(const MatmulArgs& a, int i) const {
    if (of_experts(a)) return token(a, i) * a.y_stride;
    return (first + i) * a.y_stride + matrix * a.stack.y_step;
  }
};

/// Blocks in y and z.
inline void set_grid(const MatmulArgs& a, int tile, LaunchGrid& grid) {
  if (a.stack.chosen != nullptr || a.stack.tiles != nullptr) {
    grid.y = static_cast<unsigned>(a.stack.chosen != nullptr ? a.tokens : a.stack.tile_count);
    return;
  }
  grid.y = static_cast<unsigned>((a.tokens + tile - 1) / tile);
  grid.z = static_cast<unsigned>(a.stack.count);
}

}  // namespace bundle::kernels::cuda
