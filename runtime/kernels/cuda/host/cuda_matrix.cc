#include "runtime/kernels/cuda/host/cuda_matrix.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "runtime/kernels/cuda/host/packed_weights.h"
#include "runtime/kernels/float8_check.h"

namespace bundle::kernels::cuda {
namespace {

Status check_part(const WeightView& part, std::int64_t cols) {
  const std::string type(dtype_info(part.type).name);
  if (!packed_row(part.type, part.cols)) {
    return bad_input("no CUDA kernel multiplies weights of type " + type + " and this width");
  }
  if (part.cols != cols) return bad_input("stacked matrices differ in width");
  if (needs_scales(part.type) && part.block_scales == nullptr) {
    return bad_input("an 8-bit matrix needs its scales");
  }
  const auto row = storage_bytes(part.type, part.cols);
  if (part.rows < 0 || part.data.size() % *row != 0 ||
      part.data.size() / *row != static_cast<std::uint64_t>(part.rows)) {
    return bad_input("a matrix of type " + type + " has not the bytes of its shape");
  }
  return {};
}

/// Published rows of stacked parts of one type, one after another.
class RowCursor {
 public:
  /// At row r.
  RowCursor(std::span<const WeightView> parts, std::int64_t r, std::size_t row_bytes)
      : part_(parts.begin()), row_(r), row_bytes_(row_bytes) {
    skip_ended();
  }
  const std::byte* next() {
    skip_ended();
    return part_->data.data() + static_cast<std::size_t>(row_++) * row_bytes_;
  }

 private:
  void skip_ended() {
    while (row_ >= part_->rows) row_ -= (part_++)->rows;
  }

  std::span<const WeightView>::iterator part_;
  std::int64_t row_;  // of the part
  std::size_t row_bytes_;
};

/// One of the three places that a packed row has.
enum class Plane { kData, kBlocks, kGroups };

/// Writes rows [first, first + count) of one plane; the row's other planes go to `spare`. False
/// when 8-bit floats among them hold a NaN.
bool write_plane(std::span<const WeightView> parts, const PackedRow& packed, Plane plane,
                 std::int64_t first, std::int64_t count, std::vector<std::byte>& spare,
                 std::byte* out) {
  const DType type = parts.front().type;
  const std::int64_t cols = parts.front().cols;
  const auto row_bytes = static_cast<std::size_t>(*storage_bytes(type, cols));
  spare.resize(packed.data_bytes + packed.block_bytes + packed.group_bytes);
  RowCursor rows(parts, first, row_bytes);
  bool has_nan = false;
  for (std::int64_t r = first; r < first + count; ++r) {
    std::byte* planes[] = {spare.data(), spare.data() + packed.data_bytes,
                           spare.data() + packed.data_bytes + packed.block_bytes};
    const std::size_t bytes[] = {packed.data_bytes, packed.block_bytes, packed.group_bytes};
    const auto chosen = static_cast<std::size_t>(plane);
    planes[chosen] = out;
    out += bytes[chosen];
    const std::byte* row = rows.next();
    has_nan = has_nan || (type == DType::kF8E4M3 && holds_nan({row, row_bytes}));
    pack_row(type, row, cols, planes[0], planes[1], planes[2]);
  }
  return !has_nan;
}

}  // namespace

Status CudaMatrix::add(Driver& driver, Uploader& uploader, std::span<const WeightView> parts) {
  const PackedRow packed = *packed_row(parts.front().type, cols_);
  Run run;
  run.first_row = rows_;
  for (const WeightView& part : parts) run.matrix.rows += part.rows;
  run.matrix.kind = packed.kind;
  run.matrix.cols = cols_;
  run.matrix.stride = packed.stride;
  run.matrix.quant = packed.quant;
  std::vector<std::byte> spare;
  bool has_nan = false;
  const auto place = [&](Plane plane, std::size_t row_bytes) -> Result<const void*> {
    if (row_bytes == 0) return static_cast<const void*>(nullptr);
    const std::size_t bytes = static_cast<std::size_t>(run.matrix.rows) * row_bytes;
    BUNDLE_TRY(DeviceBuffer memory,
               DeviceBuffer::make(driver, bytes, MemoryKind::kWeights, "the weights"));
    BUNDLE_CHECK(uploader.upload(memory.data(), run.matrix.rows, row_bytes,
                                 [&](std::int64_t first, std::int64_t count, std::byte* out) {
                                   has_nan |=
                                       !write_plane(parts, packed, plane, first, count, spare, out);
                                 }));
    if (has_nan) return nan_error();
    memory_.push_back(std::move(memory));
    return static_cast<const void*>(memory_.back().data());
  };
  BUNDLE_TRY(run.matrix.data, place(Plane::kData, packed.data_bytes));
  BUNDLE_TRY(run.matrix.quant.blocks, place(Plane::kBlocks, packed.block_bytes));
  BUNDLE_TRY(run.matrix.quant.groups, place(Plane::kGroups, packed.group_bytes));
  if (needs_scales(parts.front().type)) {
    BUNDLE_CHECK(add_scales(driver, uploader, parts, run.matrix));
  }
  rows_ += run.matrix.rows;
  runs_.push_back(run);
  return {};
}

Result<const std::byte*> CudaMatrix::keep(Driver& driver, Uploader& uploader,
                                          std::span<const std::byte> bytes) {
  BUNDLE_TRY(DeviceBuffer memory,
             DeviceBuffer::make(driver, bytes.size(), MemoryKind::kWeights, "the weights"));
  BUNDLE_CHECK(uploader.upload(memory.data(), 1, bytes.size(),
                               [&](std::int64_t, std::int64_t, std::byte* out) {
                                 std::memcpy(out, bytes.data(), bytes.size());
                               }));
  memory_.push_back(std::move(memory));
  return static_cast<const std::byte*>(memory_.back().data());
}

/// The scales of all parts behind each other. Where parts begin or end inside a block of 128 rows,
/// or blocks have other rows, each row says which are its own.
Status CudaMatrix::add_scales(Driver& driver, Uploader& uploader, std::span<const WeightView> parts,
                              DeviceMatrix& matrix) {
  const auto width = static_cast<std::size_t>((cols_ + kScaleBlock - 1) / kScaleBlock);
  std::vector<float> scales;
  std::vector<std::int32_t> rows;
  bool regular = true;
  for (const WeightView& part : parts) {
    regular = regular && part.scale_rows == kScaleBlock && part.scale_row % kScaleBlock == 0 &&
              (part.rows % kScaleBlock == 0 || &part == &parts.back());
    for (std::int64_t r = 0; r < part.rows; ++r) {
      if (r == 0 || (part.scale_row + r) % part.scale_rows == 0) {
        scales.insert(scales.end(), part.scales_of(r), part.scales_of(r) + width);
      }
      rows.push_back(static_cast<std::int32_t>(scales.size() / width) - 1);
    }
  }
  BUNDLE_TRY(const std::byte* placed, keep(driver, uploader, std::as_bytes(std::span(scales))));
  matrix.block_scales = reinterpret_cast<const float*>(placed);
  if (regular) return {};
  BUNDLE_TRY(placed, keep(driver, uploader, std::as_bytes(std::span(rows))));
  matrix.block_of_row = reinterpret_cast<const std::int32_t*>(placed);
  return {};
}

Result<std::unique_ptr<CudaMatrix>> CudaMatrix::make(Driver& driver, Uploader& uploader,
                                                     std::span<const WeightView> parts) {
  if (parts.empty()) return bad_input("a matrix of no parts");
  std::unique_ptr<CudaMatrix> matrix(new CudaMatrix);
  matrix->cols_ = parts.front().cols;
  for (const WeightView& part : parts) BUNDLE_CHECK(check_part(part, matrix->cols_));
  while (!parts.empty()) {
    const auto other = std::find_if(parts.begin(), parts.end(), [&](const WeightView& part) {
      return part.type != parts.front().type;
    });
    const auto alike = static_cast<std::size_t>(other - parts.begin());
    BUNDLE_CHECK(matrix->add(driver, uploader, parts.first(alike)));
    parts = parts.subspan(alike);
  }
  return matrix;
}

}  // namespace bundle::kernels::cuda
