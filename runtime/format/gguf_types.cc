#include "runtime/format/gguf_types.h"

#include <iterator>

namespace bundle::format {
namespace {

struct TensorType {
  const char* name;
  std::optional<DType> type = {};
};

// Indexed by ggml's number. Numbers that ggml removed have no name.
constexpr TensorType kTensorTypes[] = {
    {"F32", DType::kF32},
    {"F16", DType::kF16},
    {"Q4_0", DType::kQ4_0},
    {"Q4_1", DType::kQ4_1},
    {"Q4_2 (removed)"},
    {"Q4_3 (removed)"},
    {"Q5_0", DType::kQ5_0},
    {"Q5_1", DType::kQ5_1},
    {"Q8_0", DType::kQ8_0},
    {"Q8_1"},
    {"Q2_K", DType::kQ2K},
    {"Q3_K", DType::kQ3K},
    {"Q4_K", DType::kQ4K},
    {"Q5_K", DType::kQ5K},
    {"Q6_K", DType::kQ6K},
    {"Q8_K"},
    {"IQ2_XXS"},
    {"IQ2_XS"},
    {"IQ3_XXS"},
    {"IQ1_S"},
    {"IQ4_NL", DType::kIQ4NL},
    {"IQ3_S"},
    {"IQ2_S"},
    {"IQ4_XS", DType::kIQ4XS},
    {"I8", DType::kI8},
    {"I16", DType::kI16},
    {"I32", DType::kI32},
    {"I64", DType::kI64},
    {"F64", DType::kF64},
    {"IQ1_M"},
    {"BF16", DType::kBF16},
    {"Q4_0_4_4 (removed)"},
    {"Q4_0_4_8 (removed)"},
    {"Q4_0_8_8 (removed)"},
    {"TQ1_0"},
    {"TQ2_0"},
    {"IQ4_NL_4_4 (removed)"},
    {"IQ4_NL_4_8 (removed)"},
    {"IQ4_NL_8_8 (removed)"},
    {"MXFP4"},
    {"NVFP4"},
    {"Q1_0"},
};

}  // namespace

std::optional<DType> gguf_dtype(std::uint32_t number) {
  return number < std::size(kTensorTypes) ? kTensorTypes[number].type : std::nullopt;
}

std::string gguf_type_name(std::uint32_t number) {
  if (number < std::size(kTensorTypes)) return kTensorTypes[number].name;
  return "number " + std::to_string(number);
}

}  // namespace bundle::format
