#include "packager/quantize/planned_file.h"

namespace bundle::packager::quantize {

Result<Quantization> parse_quantization(std::string_view name) {
  if (name == "q8_0") return Quantization::kQ8_0;
  if (name == "q4_0") return Quantization::kQ4_0;
  if (name == "q4_k") return Quantization::kQ4K;
  if (name == "fp8") return Quantization::kF8;
  if (name == "int8") return Quantization::kInt8;
  return Error{ErrorCode::kUsage, "there is no quantization '" + std::string(name) + "'", "",
               "Known are q8_0, q4_0, q4_k, fp8 and int8."};
}

std::int64_t PlannedTensor::cols() const {
  const bool is_column = shape.empty() || (shape.size() == 1 && interleaved_head > 0);
  return is_column ? 1 : shape.back();
}

std::int64_t PlannedTensor::rows() const {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) elements *= size;
  return elements / cols();
}

std::uint64_t PlannedTensor::bytes() const {
  // Rows fill whole blocks: the plan chose the type so.
  return storage_bytes(type, rows() * cols()).value_or(0);
}

RowOrigin origin_of(const PlannedTensor& tensor, std::int64_t row) {
  const auto parts = static_cast<std::int64_t>(tensor.parts.size());
  const std::int64_t rows_each = tensor.rows() / parts;
  RowOrigin origin{static_cast<std::size_t>(row / rows_each), row % rows_each};
  if (const std::int64_t head = tensor.interleaved_head; head > 0) {
    const std::int64_t in_head = origin.row % head;
    origin.row += in_head / 2 + (in_head % 2 == 0 ? 0 : head / 2) - in_head;
  }
  return origin;
}

}  // namespace bundle::packager::quantize
