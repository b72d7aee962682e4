// How the weights of a checkpoint are stored: which matrices are quantized, and into how many bits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace bundle::sizing {

/// Which matrices are stored in the narrow type. The embedding, the output matrix, norms and
/// routers stay wide, but for kEverything.
enum class Coverage : std::uint8_t {
  kNothing,
  kLinears,        // all matrices of the layers
  kRoutedExperts,  // NVFP4 checkpoints of DeepSeek
  kInnerMlps,      // Meta's FP8 of Llama 3.1 405B: MLPs of all layers but the first and last
  kEverything,     // GGUF
};

/// A stored kind of weights. `type` and `scale_type` are the names safetensors uses, where it has
/// one. A value.
struct WeightFormat {
  std::string name;                // "bf16", "fp8", "nvfp4", "q4_k_m"
  std::string_view wide = "BF16";  // type of what is not covered
  int wide_bytes = 2;
  Coverage coverage = Coverage::kNothing;
  std::string_view type = "";      // of covered matrices
  double bits = 16;                // an element of them, scales left out
  std::int64_t scale_rows = 0;     // one scale for so many rows (0: no scales) …
  std::int64_t scale_columns = 0;  // … and columns; 0: a whole row
  std::string_view scale_type = "";
  double scale_bits = 0;  // a scale, zero points included

  /// "fp8", "fp4", "int4", "bf16": which of a GPU's peaks the products run at.
  std::string compute() const;
};

/// The formats `--quantization` takes, in falling size.
const std::vector<WeightFormat>& weight_formats();

/// kNotFound with the nearest name.
Result<WeightFormat> weight_format(std::string_view name);

/// What config.json says: `quantization_config`, else `torch_dtype`. kBadInput for a method that is
/// not known.
Result<WeightFormat> weight_format_of(const Json& config);

}  // namespace bundle::sizing
