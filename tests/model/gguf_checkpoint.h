// A golden's checkpoint as the converters of llama.cpp would write it: names, metadata, stacked
// experts, rows turned for interleaved rotation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/golden/gguf_writer.h"
#include "tests/golden/golden_weights.h"

namespace bundle::model {

/// Bytes of one tensor of a GGUF: told its Hugging Face name (of a stack of experts, without the
/// number), its shape and its values.
using Encode = std::function<golden::StoredTensor(const std::string& name,
                                                  const std::vector<std::int64_t>& shape,
                                                  const std::vector<float>& values)>;

/// Every matrix in `type`, vectors in F32.
Encode encode_as(DType type);

struct GgufOptions {
  /// Latent attention's kv_b_proj as attn_k_b (turned) and attn_v_b, as files since 2025 have it.
  bool split_latent_heads = false;
};

/// A GGUF file of the golden's weights, rounded to bfloat16 as published, then encoded.
std::string golden_gguf(const golden::Golden& golden, const Encode& encode,
                        const GgufOptions& options = {});

}  // namespace bundle::model
