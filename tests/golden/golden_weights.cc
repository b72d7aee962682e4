#include "tests/golden/golden_weights.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/json.h"
#include "base/sha256.h"
#include "tests/golden/fp8_blocks.h"
#include "tests/golden/safetensors_writer.h"

namespace bundle::golden {
namespace {

std::uint64_t fnv1a64(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

std::uint64_t splitmix64(std::uint64_t state) {
  std::uint64_t z = state + 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

struct Spread {
  float offset;
  float scale;
};

Spread spread_of(const Golden& golden, const TensorSpec& tensor) {
  if (tensor.name.ends_with("e_score_correction_bias")) return {0.0f, 0.2f};
  if (tensor.name.find("embed_tokens") != std::string::npos) {
    return {0.0f, golden.tied ? 0.2f : 1.7f};
  }
  if (tensor.name.ends_with("norm.weight")) return {1.0f, 0.35f};
  if (tensor.shape.size() == 1) return {0.0f, 0.5f};
  return {0.0f, static_cast<float>(2.0 / std::sqrt(static_cast<double>(tensor.shape.back())))};
}

template <typename T, typename Read>
Result<std::vector<T>> read_list(const Json& object, const char* key, Read read) {
  const Json* list = find(object, key);
  if (list == nullptr || !list->is_array()) return bad_input("no such list", key);
  std::vector<T> values;
  for (const Json& item : list->get_array()) {
    if (!item.is_number()) return bad_input("not a number", key);
    values.push_back(read(item));
  }
  return values;
}

Result<std::vector<std::int32_t>> read_ids(const Json& object, const char* key) {
  return read_list<std::int32_t>(
      object, key, [](const Json& item) { return static_cast<std::int32_t>(item.as_int64()); });
}

Result<std::vector<float>> read_floats(const Json& object, const char* key) {
  return read_list<float>(object, key, [](const Json& item) { return item.to_number<float>(); });
}

Result<Prompt> read_prompt(const Json& object) {
  Prompt prompt;
  BUNDLE_TRY(prompt.tokens, read_ids(object, "tokens"));
  BUNDLE_TRY(prompt.argmax, read_ids(object, "argmax"));
  BUNDLE_TRY(prompt.margin, read_floats(object, "margin"));
  BUNDLE_TRY(prompt.last, read_floats(object, "last"));
  BUNDLE_TRY(prompt.greedy, read_ids(object, "greedy"));
  BUNDLE_TRY(prompt.greedy_margin, read_floats(object, "greedy_margin"));
  if (find(object, "mtp_last") != nullptr) {
    BUNDLE_TRY(prompt.mtp_last, read_floats(object, "mtp_last"));
  }
  const Json* logprob = find(object, "logprob");
  if (logprob != nullptr && logprob->is_number()) prompt.logprob = logprob->to_number<double>();
  return prompt;
}

Result<TensorSpec> read_spec(std::string_view name, const Json& value) {
  if (!value.is_array() || value.get_array().size() != 2) return bad_input("no tensor", "tensors");
  const JsonArray& pair = value.get_array();
  const std::string_view type = pair[0].as_string();
  TensorSpec spec{std::string(name), DType::kBF16, {}};
  if (type == "float32") {
    spec.type = DType::kF32;
  } else if (type == "float8_e4m3fn") {
    spec.type = DType::kF8E4M3;
  } else if (type != "bfloat16") {
    return bad_input("no writer for tensors of type " + std::string(type), std::string(name));
  }
  for (const Json& size : pair[1].as_array()) spec.shape.push_back(size.as_int64());
  return spec;
}

struct Weights {
  std::vector<StoredTensor> tensors;
  std::string digest;
};

Result<Weights> make_weights(const Golden& golden) {
  Sha256 hash;
  Weights weights;
  for (const TensorSpec& tensor : golden.tensors) {
    BUNDLE_TRY(std::string bytes, tensor_bytes(golden, tensor));
    hash.update(as_bytes(bytes));
    weights.tensors.push_back({tensor.name, tensor.type, tensor.shape, std::move(bytes)});
  }
  weights.digest = hash.hex();
  return weights;
}

Status write_files(const Golden& golden, const Weights& weights, const Path& folder) {
  BUNDLE_CHECK(make_directories(folder));
  BUNDLE_CHECK(write_file_atomic(folder / "config.json", golden.config_json));
  return write_file_atomic(folder / "model.safetensors", safetensors_text(weights.tensors));
}

}  // namespace

std::int64_t TensorSpec::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t size : shape) product *= size;
  return product;
}

Result<Golden> read_golden(const Path& folder) {
  Golden golden;
  golden.name = folder.filename();
  BUNDLE_TRY(golden.config_json, read_file(folder / "config.json"));
  BUNDLE_TRY(const Json config, parse_json(golden.config_json, "config.json"));
  BUNDLE_TRY(golden.tied, get_bool_or(config, "tie_word_embeddings", false, "config.json"));
  const std::string where = folder / "expected.json";
  BUNDLE_TRY(const Json expected, read_json_file(where));
  BUNDLE_TRY(const std::int64_t seed, get_int(expected, "seed", where));
  golden.seed = static_cast<std::uint64_t>(seed);
  BUNDLE_TRY(golden.digest, get_string(expected, "digest", where));
  const Json* tensors = find(expected, "tensors");
  const Json* prompts = find(expected, "prompts");
  if (tensors == nullptr || !tensors->is_object() || prompts == nullptr || !prompts->is_array()) {
    return bad_input("no tensors or prompts", where);
  }
  for (const auto& item : tensors->get_object()) {
    BUNDLE_TRY(TensorSpec spec, read_spec(item.key(), item.value()));
    golden.tensors.push_back(std::move(spec));
  }
  for (const Json& item : prompts->get_array()) {
    BUNDLE_TRY(Prompt prompt, read_prompt(item));
    golden.prompts.push_back(std::move(prompt));
  }
  return golden;
}

std::vector<float> tensor_values(const Golden& golden, const TensorSpec& tensor) {
  return tensor_values(golden, tensor, 0, tensor.elements());
}

std::vector<float> tensor_values(const Golden& golden, const TensorSpec& tensor, std::int64_t first,
                                 std::int64_t count) {
  const std::uint64_t start =
      fnv1a64(std::to_string(golden.seed) + ":" + tensor.name) + static_cast<std::uint64_t>(first);
  const Spread spread = spread_of(golden, tensor);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float u = static_cast<float>(splitmix64(start + i) >> 40) / 8388608.0f - 1.0f;
    // Rounded between product and sum, whatever the compiler would like to fuse.
    const volatile float product = u * spread.scale;
    values[i] = product + spread.offset;
  }
  return values;
}

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

namespace {

constexpr std::string_view kScaleSuffix = "_scale_inv";

Fp8Blocks blocks_of(const Golden& golden, const TensorSpec& tensor) {
  return to_fp8_blocks(tensor_values(golden, tensor), tensor.shape[0], tensor.shape[1]);
}

/// The scales belong to the matrix that their name is made of.
Result<std::string> scale_bytes(const Golden& golden, const TensorSpec& scales) {
  const std::string_view matrix =
      std::string_view(scales.name).substr(0, scales.name.size() - kScaleSuffix.size());
  for (const TensorSpec& tensor : golden.tensors) {
    if (tensor.name != matrix) continue;
    const Fp8Blocks blocks = blocks_of(golden, tensor);
    std::string bytes(blocks.scales.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), blocks.scales.data(), bytes.size());
    return bytes;
  }
  return bad_input("scales of no matrix", scales.name);
}

}  // namespace

Result<std::string> tensor_bytes(const Golden& golden, const TensorSpec& tensor) {
  if (tensor.name.ends_with(kScaleSuffix)) return scale_bytes(golden, tensor);
  if (tensor.type == DType::kF8E4M3) return blocks_of(golden, tensor).codes;
  if (tensor.type != DType::kBF16 && tensor.type != DType::kF32) {
    return std::string(*storage_bytes(tensor.type, tensor.elements()), '\0');
  }
  return narrow(tensor.type, tensor_values(golden, tensor));
}

std::string narrow(DType type, const std::vector<float>& values) {
  const auto width = static_cast<std::size_t>(dtype_info(type).bytes);
  std::string bytes(values.size() * width, '\0');
  if (type == DType::kF32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t rounded = to_bf16(values[i]);
    std::memcpy(bytes.data() + i * width, &rounded, width);
  }
  return bytes;
}

std::string safetensors_header(const std::vector<TensorSpec>& tensors) {
  std::vector<TensorPlace> places;
  for (const TensorSpec& tensor : tensors) {
    places.push_back(
        {tensor.name, tensor.type, tensor.shape, *storage_bytes(tensor.type, tensor.elements())});
  }
  return safetensors_header(places);
}

Result<std::string> write_checkpoint(const Golden& golden, const Path& folder) {
  BUNDLE_TRY(const Weights weights, make_weights(golden));
  BUNDLE_CHECK(write_files(golden, weights, folder));
  return weights.digest;
}

Status make_checkpoint(const Golden& golden, const Path& folder) {
  BUNDLE_TRY(const Weights weights, make_weights(golden));
  if (weights.digest != golden.digest) {
    return failed("the weights have digest " + weights.digest + ", expected " + golden.digest,
                  golden.name);
  }
  return write_files(golden, weights, folder);
}

}  // namespace bundle::golden
