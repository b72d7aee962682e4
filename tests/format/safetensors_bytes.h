// A safetensors file out of the text of its header, right or wrong, and its data.
#pragma once

#include <string>
#include <string_view>

#include "tests/format/gguf_builder.h"

namespace bundle::format {

inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return wire<std::uint64_t>(header.size()) + std::string(header) + std::string(data);
}

/// One tensor of U8 or F32 elements; the header is padded so that its data lies aligned.
inline std::string one_tensor_file(const std::string& name, const std::string& dtype,
                                   std::size_t elements, std::string_view data) {
  std::string header = "{\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":[)" +
                       std::to_string(elements) + R"(],"data_offsets":[0,)" +
                       std::to_string(data.size()) + "]}}";
  while (header.size() % 8 != 0) header += ' ';
  return safetensors_bytes(header, data);
}

}  // namespace bundle::format
