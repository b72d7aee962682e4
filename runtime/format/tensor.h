// One tensor of a model file, where it lies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/dtype.h"
#include "base/result.h"

namespace bundle::format {

/// One tensor in place. `shape` is row-major, outermost first, as Hugging Face prints it (GGUF's
/// order is turned round); {} is a scalar. `data` has exactly storage_bytes of the elements, and
/// begins at a multiple of alignment_of(type) once a Checkpoint holds it.
struct TensorView {
  std::string name;
  DType type = DType::kF32;
  std::vector<std::int64_t> shape;
  Bytes data;

  std::int64_t elements() const;
};

/// The product of the dimensions; none when one is negative or the product leaves 63 bits.
std::optional<std::int64_t> element_count(const std::vector<std::int64_t>& shape);

/// Bytes to whose multiple an element (or a quantized block's widest field) must be aligned.
std::size_t alignment_of(DType type);

/// Names of tensors and keys come from the file and end in messages: refuses an empty one, one
/// over 64 KiB, and one that is not UTF-8.
Status check_name(std::string_view name, const char* kind, std::string_view where);

/// "[2, 3]".
std::string shape_text(const std::vector<std::int64_t>& shape);

/// Refuses tensors that share bytes, naming both; `where` is the file.
Status check_overlaps(const std::vector<TensorView>& tensors, std::string_view where);

}  // namespace bundle::format
