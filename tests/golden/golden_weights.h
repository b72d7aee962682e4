// Tiny checkpoints whose weights come from a formula, and what the reference implementation
// (transformers, float32) answers for them.
//
// tests/golden/<name>/ holds config.json and expected.json. Element i of the tensor `name` is
//   u = (splitmix64(fnv1a64("<seed>:<name>") + i) >> 40) / 2^23 - 1,   value = offset + u · scale,
// rounded to bfloat16, with offset and scale by kind of tensor. `digest` in expected.json is the
// SHA-256 over all tensors' bytes in the order of their names: make_checkpoint checks it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/file.h"
#include "base/result.h"

namespace bundle::golden {

/// One published tensor; shape outermost first.
struct TensorSpec {
  std::string name;
  DType type = DType::kBF16;
  std::vector<std::int64_t> shape;

  std::int64_t elements() const;
};

/// One prompt and the reference's answers.
struct Prompt {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> argmax;  // at every position
  std::vector<float> margin;         // top-1 minus top-2 logit at every position
  std::vector<float> last;           // all logits at the last position
  std::vector<std::int32_t> greedy;  // generated ids
  std::vector<float> greedy_margin;  // at every generated step
  std::optional<double> logprob;     // mean of tokens[1:], teacher forced
  std::vector<float> mtp_last;       // the draft layer's, behind the prompt and greedy[0]; or none
};

/// A checkpoint's description.
struct Golden {
  std::string name;
  std::string config_json;
  std::uint64_t seed = 0;
  bool tied = false;
  std::string digest;
  std::vector<TensorSpec> tensors;  // by name
  std::vector<Prompt> prompts;
};

/// Reads config.json and expected.json of a folder; the folder's name is the golden's.
Result<Golden> read_golden(const Path& folder);

/// The values of one tensor before they are rounded to its type; or `count` of them from `first`.
std::vector<float> tensor_values(const Golden& golden, const TensorSpec& tensor);
std::vector<float> tensor_values(const Golden& golden, const TensorSpec& tensor, std::int64_t first,
                                 std::int64_t count);

/// Values as bfloat16 (rounded to nearest even) or float32.
std::string narrow(DType type, const std::vector<float>& values);

/// The head of a safetensors file that holds the tensors in that order.
std::string safetensors_header(const std::vector<TensorSpec>& tensors);

/// The tensor's bytes as published, rounded to nearest even: bfloat16, float32, or 8-bit floats in
/// blocks, whose scales are the tensor of that name with "_scale_inv"; zeros of another type.
Result<std::string> tensor_bytes(const Golden& golden, const TensorSpec& tensor);

/// Writes config.json and model.safetensors into `folder`, which is made if need be, and gives the
/// digest of the tensors' bytes.
Result<std::string> write_checkpoint(const Golden& golden, const Path& folder);

/// The same for a golden that knows its digest: kFailed, and nothing written, when it is another.
Status make_checkpoint(const Golden& golden, const Path& folder);

/// float to bfloat16, to nearest even.
std::uint16_t to_bf16(float value);

}  // namespace bundle::golden
