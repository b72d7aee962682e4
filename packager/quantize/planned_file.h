// A weight file that is still to be made: its head as bytes, and where each row of its tensors
// comes from. Nothing is held in memory but the plan.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "runtime/format/tensor.h"

namespace bundle::packager::quantize {

/// What `--quantize` and bundle.yaml's `quantize` name.
enum class Quantization { kQ8_0, kQ4_0, kQ4K, kF8, kInt8 };

/// "q8_0", "q4_0", "q4_k", "fp8", "int8". kUsage for another text.
Result<Quantization> parse_quantization(std::string_view name);

/// Matrices of one shape and type, stacked: one, or a layer's experts. They stay mapped elsewhere.
struct PublishedPart {
  const format::TensorView* tensor = nullptr;
  const format::TensorView* scales = nullptr;  // of an FP8 matrix: F32, one for each 128x128 block
};

/// One tensor of the new file. Its rows are those of its parts, one part after the other.
struct PlannedTensor {
  std::string name = {};
  DType type = DType::kF32;               // as it will be stored
  std::vector<std::int64_t> shape = {};   // outermost first
  std::vector<PublishedPart> parts = {};  // empty: `values` are the data
  std::vector<float> values = {};
  /// Rows of a head whose halves are to be interleaved, as GGUF stores what is rotated: row i of
  /// each half goes to 2i and 2i + 1. 0: rows stay.
  std::int64_t interleaved_head = 0;
  /// Of types kF8E4M3 and kI8: where the scales go, counted as `offset` is.
  std::uint64_t scales_offset = 0;
  std::uint64_t offset = 0;  // of the data in the file

  /// A vector is one row, except that one whose elements are interleaved is a column.
  std::int64_t cols() const;
  std::int64_t rows() const;
  /// Exact: no other bytes than its data's.
  std::uint64_t bytes() const;
};

struct PlannedFile {
  std::string name;  // "model.gguf"
  std::string head;  // everything before the first tensor
  std::vector<PlannedTensor> tensors;
  std::uint64_t size = 0;
};

/// Row `row` of a tensor as it is planned: which part it comes from, and which row of that.
struct RowOrigin {
  std::size_t part = 0;
  std::int64_t row = 0;
};
RowOrigin origin_of(const PlannedTensor& tensor, std::int64_t row);

}  // namespace bundle::packager::quantize
