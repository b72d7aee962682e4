// Checkpoints of any dense shape for tests, from golden's formula.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

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

}  // namespace bundle::model
