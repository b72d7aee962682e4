#include "runtime/kernels/cpu/packed_matrix.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "runtime/kernels/float8_check.h"

namespace bundle::kernels::cpu {
namespace {

Status check_view(const WeightView& view, std::int64_t cols) {
  const std::string type(dtype_info(view.type).name);
  if (!can_pack(view.type))
    return bad_input("weights of type " + type + " can not be multiplied on the CPU", {},
                     "Convert the model to BF16, F16, F32 or a GGUF quantization.");
  if (view.cols != cols) return bad_input("stacked weights differ in their number of columns");
  const auto row_bytes = storage_bytes(view.type, view.cols);
  if (!row_bytes || view.rows < 0 || view.cols <= 0)
    return bad_input(std::to_string(view.cols) + " columns do not fill blocks of " + type);
  if (*row_bytes != 0 && view.data.size() / *row_bytes < static_cast<std::uint64_t>(view.rows))
    return bad_input("weights of type " + type + " have fewer bytes than rows");
  if (view.type == DType::kI8 && view.cols % kInt8Columns != 0)
    return bad_input(std::to_string(view.cols) + " columns of type " + type +
                     " are no multiple of " + std::to_string(kInt8Columns));
  if (needs_scales(view.type) != (view.block_scales != nullptr))
    return bad_input("weights of type " + type + (view.block_scales ? " have" : " lack") +
                     " scales of blocks");
  return {};
}

Status pack_part(const WeightView& view, const PackedPart& part, std::byte* out, ThreadPool& pool) {
  const auto row_bytes = static_cast<std::int64_t>(*storage_bytes(view.type, view.cols));
  std::atomic<bool> has_nan = false;
  pool.run(part.blocks, 4, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int64_t row = b * kPackRows;
      const auto rows = static_cast<int>(std::min<std::int64_t>(kPackRows, part.rows - row));
      std::byte* block = out + b * part.layout.stride;
      const std::byte* published = view.data.data() + row * row_bytes;
      const Bytes codes(published, static_cast<std::size_t>(rows * row_bytes));
      if (view.type == DType::kF8E4M3 && holds_nan(codes)) has_nan = true;
      pack_rows(part.layout, published, row_bytes, rows, block);
      for (int lane = 0; view.block_scales != nullptr && lane < rows; ++lane)
        pack_scales(part.layout, lane, view.scales_of(row + lane), block);
    }
  });
  if (has_nan) return nan_error();
  return {};
}

}  // namespace

Result<std::unique_ptr<PackedMatrix>> PackedMatrix::pack(std::span<const WeightView> parts,
                                                         HugeAllocator& allocator,
                                                         ThreadPool& pool) {
  auto matrix = std::make_unique<PackedMatrix>();
  if (parts.empty()) return bad_input("a matrix needs at least one part");
  matrix->cols_ = parts[0].cols;
  for (const WeightView& view : parts) BUNDLE_CHECK(matrix->add_part(view, allocator, pool));
  return matrix;
}

Status PackedMatrix::add_part(const WeightView& view, HugeAllocator& allocator, ThreadPool& pool) {
  BUNDLE_CHECK(check_view(view, cols_));
  PackedPart part;
  part.layout = packed_layout(view.type, view.cols);
  part.first_row = rows_;
  part.rows = view.rows;
  part.first_block = blocks_;
  part.blocks = (view.rows + kPackRows - 1) / kPackRows;
  HugeAllocator::Piece piece =
      allocator.take(static_cast<std::size_t>(part.blocks * part.layout.stride));
  if (piece.data == nullptr)
    return failed("no memory for a weight matrix", {}, "Use a smaller model or a larger machine.");
  BUNDLE_CHECK(pack_part(view, part, piece.data, pool));
  part.data = piece.data;
  parts_.push_back(part);
  memory_.push_back(std::move(piece.memory));
  rows_ += part.rows;
  blocks_ += part.blocks;
  return {};
}

std::size_t PackedMatrix::resident_bytes() const {
  std::size_t bytes = 0;
  for (const PackedPart& part : parts_)
    bytes += static_cast<std::size_t>(part.blocks * part.layout.stride);
  return bytes;
}

void PackedMatrix::read_row(std::int64_t row, float* out) const {
  const auto part = std::find_if(parts_.begin(), parts_.end(),
                                 [row](const PackedPart& p) { return row < p.first_row + p.rows; });
  const std::int64_t local = row - part->first_row;
  unpack_row(part->layout, part->data + local / kPackRows * part->layout.stride,
             static_cast<int>(local % kPackRows), out);
}

}  // namespace bundle::kernels::cpu
