// 8-bit weights with scales in every form that publishers give them: the logits are those of the
// same numbers in float32, on every device and divided over ranks.
#include <cmath>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "runtime/kernels/half.h"
#include "runtime/quantize/quantize.h"
#include "tests/golden/safetensors_writer.h"
#include "tests/golden/temp_folder.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

using Shape = std::vector<std::int64_t>;

enum class Sharing { kRow, kMatrix, kBlock };

struct Form {
  const char* name;
  DType type;
  Sharing sharing;
  DType scale_type;
  int scale_dims;  // how many sizes the scales' shape has
};

void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }

constexpr Form kForms[] = {
    {"fp8_rows_bf16", DType::kF8E4M3, Sharing::kRow, DType::kBF16, 2},
    {"fp8_rows_flat", DType::kF8E4M3, Sharing::kRow, DType::kF32, 1},
    {"fp8_matrix", DType::kF8E4M3, Sharing::kMatrix, DType::kF32, 0},
    {"fp8_matrix_f16", DType::kF8E4M3, Sharing::kMatrix, DType::kF16, 1},
    {"fp8_blocks", DType::kF8E4M3, Sharing::kBlock, DType::kF32, 2},
    {"fp8_blocks_bf16", DType::kF8E4M3, Sharing::kBlock, DType::kBF16, 2},
    {"fp8_blocks_f16", DType::kF8E4M3, Sharing::kBlock, DType::kF16, 2},
    {"int8_rows", DType::kI8, Sharing::kRow, DType::kF32, 2},
    {"int8_rows_bf16", DType::kI8, Sharing::kRow, DType::kBF16, 2},
    {"int8_matrix", DType::kI8, Sharing::kMatrix, DType::kF32, 1},
};

/// A matrix in a form: its bytes, the scales as stored, and what it stands for.
struct Scaled {
  std::string codes;
  std::vector<float> scales;
  Shape scale_shape;
  std::vector<float> values;
};

/// The scale as its type keeps it.
float rounded(DType type, float scale) {
  if (type == DType::kBF16) return kernels::bf16_to_float(kernels::float_to_bf16(scale));
  if (type == DType::kF16) return kernels::half_to_float(kernels::float_to_half(scale));
  return scale;
}

/// Rows and columns that share a scale.
Shape share_of(const Form& form, std::int64_t rows, std::int64_t cols) {
  if (form.sharing == Sharing::kRow) return {1, cols};
  if (form.sharing == Sharing::kMatrix) return {rows, cols};
  return {128, 128};
}

Shape scale_shape(const Form& form, const Shape& blocks) {
  if (form.scale_dims == 0) return {};
  if (form.scale_dims == 1) return {blocks[0] * blocks[1]};
  return blocks;
}

float encoded(DType type, float value, std::string& codes) {
  if (type == DType::kF8E4M3) {
    const std::uint8_t code = kernels::float_to_f8e4m3(std::clamp(value, -448.0f, 448.0f));
    codes += static_cast<char>(code);
    return kernels::f8e4m3_to_float(code);
  }
  const float whole = std::clamp(std::nearbyint(value), -127.0f, 127.0f);
  codes += static_cast<char>(static_cast<std::int8_t>(whole));
  return whole;
}

Scaled scaled(const Form& form, const std::vector<float>& values, const Shape& shape) {
  const std::int64_t rows = shape[0], cols = shape[1];
  const Shape share = share_of(form, rows, cols);
  const Shape blocks = {(rows - 1) / share[0] + 1, (cols - 1) / share[1] + 1};
  Scaled out{{}, std::vector<float>(static_cast<std::size_t>(blocks[0] * blocks[1])), {}, {}};
  const auto scale_at = [&](std::int64_t r, std::int64_t c) -> float& {
    return out.scales[static_cast<std::size_t>(r / share[0] * blocks[1] + c / share[1])];
  };
  const auto value_at = [&](std::int64_t r, std::int64_t c) {
    return values[static_cast<std::size_t>(r * cols + c)];
  };
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < cols; ++c)
      scale_at(r, c) = std::max(scale_at(r, c), std::abs(value_at(r, c)));
  const float largest = form.type == DType::kI8 ? 127.0f : 448.0f;
  for (float& scale : out.scales) scale = rounded(form.scale_type, scale / largest);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < cols; ++c)
      out.values.push_back(scale_at(r, c) *
                           encoded(form.type, value_at(r, c) / scale_at(r, c), out.codes));
  out.scale_shape = scale_shape(form, blocks);
  return out;
}

bool is_linear(const golden::TensorSpec& tensor) {
  return tensor.shape.size() == 2 && (tensor.name.find("_proj.") != std::string::npos);
}

/// What compressed-tensors says of the form.
Json quantization(const Form& form) {
  const char* strategy = form.sharing == Sharing::kRow      ? "channel"
                         : form.sharing == Sharing::kMatrix ? "tensor"
                                                            : "block";
  JsonObject weights{{"num_bits", 8},
                     {"type", form.type == DType::kI8 ? "int" : "float"},
                     {"strategy", strategy},
                     {"symmetric", true}};
  if (form.sharing == Sharing::kBlock) weights["block_structure"] = JsonArray{128, 128};
  return JsonObject{
      {"quant_method", "compressed-tensors"},
      {"config_groups", JsonObject{{"group_0", JsonObject{{"weights", std::move(weights)}}}}}};
}

/// The golden's linear matrices in the form, and a second model of the same numbers in float32.
void write_both(const golden::Golden& golden, const Form& form, const Path& eight_bit,
                const Path& wide) {
  std::vector<golden::StoredTensor> narrow, plain;
  for (const golden::TensorSpec& spec : golden.tensors) {
    if (!is_linear(spec)) {
      narrow.push_back({spec.name, spec.type, spec.shape, *golden::tensor_bytes(golden, spec)});
      plain.push_back(narrow.back());
      continue;
    }
    const Scaled matrix = scaled(form, golden::tensor_values(golden, spec), spec.shape);
    narrow.push_back({spec.name, form.type, spec.shape, matrix.codes});
    std::string scales;
    if (form.scale_type == DType::kF16) {
      for (const float scale : matrix.scales) {
        const std::uint16_t half = kernels::float_to_half(scale);
        scales.append(reinterpret_cast<const char*>(&half), sizeof half);
      }
    } else {
      scales = golden::narrow(form.scale_type, matrix.scales);
    }
    narrow.push_back({spec.name + "_scale", form.scale_type, matrix.scale_shape, scales});
    plain.push_back(
        {spec.name, DType::kF32, spec.shape, golden::narrow(DType::kF32, matrix.values)});
  }
  Json config = parse_json(golden.config_json, "config.json").value();
  ASSERT_TRUE(write_file_atomic(wide / "config.json", print_json(config)));
  config.as_object()["quantization_config"] = quantization(form);
  ASSERT_TRUE(write_file_atomic(eight_bit / "config.json", print_json(config)));
  const auto put = [](const Path& folder, const auto& tensors) {
    return write_file_atomic(folder / "model.safetensors", golden::safetensors_text(tensors));
  };
  ASSERT_TRUE(put(eight_bit, narrow));
  ASSERT_TRUE(put(wide, plain));
}

class ScaledWeights : public testing::TestWithParam<std::tuple<std::string, Form>> {
 protected:
  void SetUp() override {
    write_both(golden_, std::get<1>(GetParam()), eight_bit_.path(), wide_.path());
  }

  template <typename Runner>
  std::vector<float> last_logits(Runner& runner, const std::vector<std::int32_t>& tokens) {
    runner.set_prompt(static_cast<std::int64_t>(tokens.size()));
    return runner.run(tokens, 0, 1);
  }

  /// How far a device may lie from the same numbers in float32.
  float allowed(const TestDevice& device, const std::vector<float>& logits) const {
    if (std::get<1>(GetParam()).type != DType::kI8) return device.tolerance;
    const auto [least, most] = std::minmax_element(logits.begin(), logits.end());
    return std::max(device.tolerance, device.quantized_tolerance * (*most - *least));
  }

  golden::Golden golden_ = load_golden(std::get<0>(GetParam()));
  golden::TempFolder eight_bit_;
  golden::TempFolder wide_;
};

float largest_gap(const std::vector<float>& a, const std::vector<float>& b) {
  float gap = 0;
  for (std::size_t i = 0; i < a.size(); ++i) gap = std::max(gap, std::abs(a[i] - b[i]));
  return gap;
}

TEST_P(ScaledWeights, GiveTheLogitsOfTheirNumbers) {
  ModelRunner reference(wide_.path(), test_devices().front());
  for (const TestDevice& device : test_devices()) {
    ModelRunner runner(eight_bit_.path(), device);
    for (const golden::Prompt& prompt : golden_.prompts) {
      if (prompt.tokens.size() > 64) continue;
      const std::vector<float> wanted = last_logits(reference, prompt.tokens);
      EXPECT_LE(largest_gap(last_logits(runner, prompt.tokens), wanted), allowed(device, wanted))
          << device.name << ", " << prompt.tokens.size() << " tokens";
    }
  }
}

TEST_P(ScaledWeights, AreDividedOverRanks) {
  if (std::get<1>(GetParam()).sharing == Sharing::kBlock) return;  // parallel_test has those
  const std::vector<std::int32_t>& tokens = golden_.prompts.front().tokens;
  for (const TestDevice& device : test_devices()) {
    ModelRunner alone(eight_bit_.path(), device);
    TeamRunner team(eight_bit_.path(), device, {.tensor = 2});
    const std::vector<float> wanted = last_logits(alone, tokens);
    EXPECT_LE(largest_gap(last_logits(team, tokens), wanted), allowed(device, wanted))
        << device.name;
  }
}

/// On the emulated GPU, for one prompt.
class ScaledWeightsOnGpu : public ScaledWeights {};

TEST_P(ScaledWeightsOnGpu, GiveTheLogitsOfTheirNumbers) {
  const std::vector<std::int32_t>& tokens = golden_.prompts.front().tokens;
  ModelRunner reference(wide_.path(), test_devices().front());
  const std::vector<float> wanted = last_logits(reference, tokens);
  ModelRunner runner(eight_bit_.path(), emulated_cuda());
  EXPECT_LE(largest_gap(last_logits(runner, tokens), wanted), allowed(emulated_cuda(), wanted));
}

INSTANTIATE_TEST_SUITE_P(Dense, ScaledWeights,
                         testing::Combine(testing::Values("qwen2_bias"), testing::ValuesIn(kForms)),
                         [](const auto& test) { return std::get<1>(test.param).name; });

INSTANTIATE_TEST_SUITE_P(CudaDense, ScaledWeightsOnGpu,
                         testing::Combine(testing::Values("qwen2_bias"), testing::ValuesIn(kForms)),
                         [](const auto& test) { return std::get<1>(test.param).name; });

// Experts, and the latent projection that is used turned around too.
INSTANTIATE_TEST_SUITE_P(Experts, ScaledWeights,
                         testing::Combine(testing::Values("deepseek_v2_lite"),
                                          testing::Values(kForms[0], kForms[2], kForms[5])),
                         [](const auto& test) { return std::get<1>(test.param).name; });

INSTANTIATE_TEST_SUITE_P(CudaExperts, ScaledWeightsOnGpu,
                         testing::Combine(testing::Values("deepseek_v2_lite"),
                                          testing::Values(kForms[0], kForms[2], kForms[5])),
                         [](const auto& test) { return std::get<1>(test.param).name; });

}  // namespace
}  // namespace bundle::model
