// Checkpoints of any dense shape for tests, as safetensors and as GGUF, from golden's formula.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/golden/gguf_writer.h"
#include "tests/golden/golden_weights.h"

namespace bundle::model {

/// Sizes of a model to build, by config.json's keys.
struct DenseShape {
  std::string architecture = "LlamaForCausalLM";
  std::int64_t vocab = 512;
  std::int64_t hidden = 256;
  std::int64_t intermediate = 512;
  std::int64_t layers = 2;
  std::int64_t heads = 4;
  std::int64_t kv_heads = 2;
  std::int64_t head_dim = 64;
  bool tied = true;
  std::int64_t sliding_window = 0;  // 0: none
};

/// The golden description of a model that has no reference answers: config and tensors.
golden::Golden dense_golden(const DenseShape& shape, std::uint64_t seed = 1);

/// Bytes of one tensor of a GGUF: told its Hugging Face name and its values.
using Encode = std::function<golden::StoredTensor(const std::string& name,
                                                  const std::vector<std::int64_t>& shape,
                                                  const std::vector<float>& values)>;

/// Every matrix in `type`, vectors in F32.
Encode encode_as(DType type);

/// A GGUF file of the golden's weights: rounded to bfloat16 as published, rows of q and k turned to
/// interleaved pairs for Llama, then encoded.
std::string golden_gguf(const golden::Golden& golden, const Encode& encode);

}  // namespace bundle::model
