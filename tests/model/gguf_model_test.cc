// Models from GGUF: the same answers as from safetensors where the types hold the same numbers, and
// every quantized type runs.
#include <bit>
#include <gtest/gtest.h>
#include <random>

#include "tests/golden/temp_folder.h"
#include "tests/model/checkpoint_builder.h"
#include "tests/model/gguf_checkpoint.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

const TestDevice kReference = test_devices().front();

Path write_gguf(const golden::TempFolder& folder, const golden::Golden& golden,
                const Encode& encode) {
  const Path path = folder.path() / "model.gguf";
  write_file_atomic(path, golden_gguf(golden, encode)).value();
  return path;
}

std::vector<std::int32_t> some_tokens(std::size_t count) {
  std::vector<std::int32_t> tokens(count);
  for (std::size_t i = 0; i < count; ++i) tokens[i] = static_cast<std::int32_t>(i * 37 % 509 + 2);
  return tokens;
}

class GgufGoldenTest : public testing::TestWithParam<std::tuple<std::string, DType, TestDevice>> {};

// Llama's GGUF stores q and k for interleaved rotation, the Qwens' does not; bfloat16 weights are
// exact in F32 and BF16.
TEST_P(GgufGoldenTest, GivesTheReferenceLogits) {
  const auto& [name, type, device] = GetParam();
  const golden::Golden golden = load_golden(name);
  const golden::TempFolder folder;
  ModelRunner runner(write_gguf(folder, golden, encode_as(type)), device);
  for (const golden::Prompt& prompt : golden.prompts) {
    EXPECT_LE(largest_difference(runner.run(prompt.tokens, 0, 1), prompt.last), device.tolerance);
  }
}

// DeepSeek's heads may lie in one tensor or in two.
TEST_P(GgufGoldenTest, GivesTheReferenceLogitsWithSplitHeads) {
  const auto& [name, type, device] = GetParam();
  if (!name.starts_with("deepseek")) return;
  const golden::Golden golden = load_golden(name);
  const golden::TempFolder folder;
  const Path path = folder.path() / "model.gguf";
  write_file_atomic(path, golden_gguf(golden, encode_as(type), {.split_latent_heads = true}))
      .value();
  ModelRunner runner(path, device);
  for (const golden::Prompt& prompt : golden.prompts) {
    runner.set_prompt(static_cast<std::int64_t>(prompt.tokens.size()));
    EXPECT_LE(largest_difference(runner.run(prompt.tokens, 0, 1), prompt.last), device.tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, GgufGoldenTest,
    testing::Combine(testing::Values("llama_tied", "qwen2_bias", "qwen3_qknorm", "qwen3_moe",
                                     "mixtral", "deepseek_v2_lite", "deepseek_v3"),
                     testing::Values(DType::kF32, DType::kBF16), testing::ValuesIn(test_devices())),
    [](const auto& test) {
      return std::get<0>(test.param) + "_" + std::string(dtype_info(std::get<1>(test.param)).name) +
             "_" + std::get<2>(test.param).name;
    });

/// Mean log-probability that the model gives the reference's prompt.
double mean_log_probability(ModelRunner& runner, const golden::Prompt& prompt) {
  const auto rows = static_cast<std::int64_t>(prompt.tokens.size());
  const std::vector<float> logits = runner.run(prompt.tokens, 0, rows);
  const auto vocab = static_cast<std::size_t>(runner.vocab_size());
  double sum = 0.0;
  for (std::size_t i = 0; i + 1 < prompt.tokens.size(); ++i) {
    sum += log_probability(std::span(logits).subspan(i * vocab, vocab), prompt.tokens[i + 1]);
  }
  return sum / static_cast<double>(rows - 1);
}

struct QuantCase {
  DType type;
  double tolerance;  // of a mean log-probability near -7
};

class QuantizedGoldenTest : public testing::TestWithParam<QuantCase> {};

// Coarser weights, nearly the same model: a misread block layout is off by far more.
TEST_P(QuantizedGoldenTest, StaysNearTheReference) {
  const golden::Golden golden = load_golden("qwen2_bias");
  const golden::TempFolder folder;
  ModelRunner runner(write_gguf(folder, golden, encode_as(GetParam().type)), kReference);
  const golden::Prompt& prompt = golden.prompts.back();
  EXPECT_NEAR(mean_log_probability(runner, prompt), *prompt.logprob, GetParam().tolerance);
}

INSTANTIATE_TEST_SUITE_P(
    All, QuantizedGoldenTest,
    testing::Values(QuantCase{DType::kF16, 1e-2}, QuantCase{DType::kQ8_0, 0.02},
                    QuantCase{DType::kQ5_1, 0.1}, QuantCase{DType::kQ5_0, 0.1},
                    QuantCase{DType::kQ4_1, 0.2}, QuantCase{DType::kQ4_0, 0.2}),
    [](const auto& test) { return std::string(dtype_info(test.param.type).name); });

/// Random valid blocks: any code bits, small scales.
std::string random_blocks(DType type, std::int64_t elements, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(static_cast<std::size_t>(storage_bytes(type, elements).value()), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

/// Offsets of the half-precision scales within a block.
std::vector<std::size_t> scale_offsets(DType type) {
  switch (type) {
    case DType::kQ2K:
      return {80, 82};
    case DType::kQ3K:
      return {108};
    case DType::kQ4K:
    case DType::kQ5K:
    case DType::kQ4_1:
    case DType::kQ5_1:
      return {0, 2};
    case DType::kQ6K:
      return {208};
    default:
      return {0};
  }
}

/// The half that keeps the largest weight near 0.03.
std::uint16_t scale_bits(DType type) {
  switch (type) {
    case DType::kQ2K:
    case DType::kQ3K:
      return 0x0C00;
    case DType::kQ4K:
    case DType::kQ5K:
    case DType::kQ6K:
    case DType::kIQ4XS:
      return 0x0100;
    case DType::kQ8_0:
    case DType::kIQ4NL:
      return 0x1000;
    default:
      return 0x1800;
  }
}

/// Weights of a size that keeps activations near one, whatever the bits.
Encode encode_random(DType type) {
  return [type](const std::string& name, const std::vector<std::int64_t>& shape,
                const std::vector<float>& values) {
    if (shape.size() < 2) {
      return golden::StoredTensor{name, DType::kF32, shape, golden::quantize(DType::kF32, values)};
    }
    const auto elements = static_cast<std::int64_t>(values.size());
    std::string bytes = random_blocks(type, elements, std::hash<std::string>{}(name));
    const auto block = static_cast<std::size_t>(dtype_info(type).bytes);
    const std::uint16_t scale = scale_bits(type);
    for (std::size_t at = 0; at < bytes.size(); at += block) {
      for (const std::size_t offset : scale_offsets(type)) {
        bytes[at + offset] = static_cast<char>(scale & 0xFF);
        bytes[at + offset + 1] = static_cast<char>(scale >> 8);
      }
    }
    return golden::StoredTensor{name, type, shape, bytes};
  };
}

class QuantTypeTest : public testing::TestWithParam<std::tuple<DType, TestDevice>> {};

TEST_P(QuantTypeTest, DevicesAgree) {
  const auto& [type, device] = GetParam();
  const golden::Golden golden = dense_golden({});
  const golden::TempFolder folder;
  const Path path = write_gguf(folder, golden, encode_random(type));
  const auto tokens = some_tokens(40);
  const auto wanted = ModelRunner(path, kReference).run(tokens, 0, 40);
  const auto given = ModelRunner(path, device).run(tokens, 0, 40);
  const auto [low, high] = std::minmax_element(wanted.begin(), wanted.end());
  EXPECT_GT(*high - *low, 0.0f);
  EXPECT_LE(largest_difference(given, wanted), device.quantized_tolerance * (*high - *low));
}

INSTANTIATE_TEST_SUITE_P(
    All, QuantTypeTest,
    testing::Combine(testing::Values(DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                     DType::kQ8_0, DType::kQ2K, DType::kQ3K, DType::kQ4K,
                                     DType::kQ5K, DType::kQ6K, DType::kIQ4NL, DType::kIQ4XS),
                     testing::ValuesIn(test_devices())),
    [](const auto& test) {
      return std::string(dtype_info(std::get<0>(test.param)).name) + "_" +
             std::get<1>(test.param).name;
    });

// Published GGUFs mix types within one packed matrix (Q4_K_M: v in Q6_K beside q and k in Q4_K).
TEST(GgufModelTest, PartsOfOneMatrixMayDifferInType) {
  const golden::Golden golden = dense_golden({.tied = false});
  const Encode mixed = [](const std::string& name, const std::vector<std::int64_t>& shape,
                          const std::vector<float>& values) {
    const bool is_v = name.find("v_proj") != std::string::npos;
    const bool is_up = name.find("up_proj") != std::string::npos;
    return encode_as(is_v ? DType::kQ8_0 : is_up ? DType::kF16 : DType::kQ4_1)(name, shape, values);
  };
  const golden::TempFolder folder;
  const Path path = write_gguf(folder, golden, mixed);
  const auto tokens = some_tokens(30);
  const auto wanted = ModelRunner(path, kReference).run(tokens, 0, 30);
  for (const TestDevice& device : test_devices()) {
    const auto given = ModelRunner(path, device).run(tokens, 0, 30);
    const auto [low, high] = std::minmax_element(wanted.begin(), wanted.end());
    EXPECT_LE(largest_difference(given, wanted), device.quantized_tolerance * (*high - *low))
        << device.name;
  }
}

// Experts of a published GGUF are quantized in stacks.
TEST(GgufModelTest, QuantizedExpertsStayNearTheReference) {
  for (const char* name : {"qwen3_moe", "deepseek_v3"}) {
    const golden::Golden golden = load_golden(name);
    const golden::TempFolder folder;
    const Path path = write_gguf(folder, golden, encode_as(DType::kQ8_0));
    const golden::Prompt& prompt = golden.prompts.back();
    for (const TestDevice& device : test_devices()) {
      ModelRunner runner(path, device);
      EXPECT_NEAR(mean_log_probability(runner, prompt), *prompt.logprob, 0.03)
          << name << " on " << device.name;
    }
  }
}

TEST(GgufModelTest, DivisorsOfTheFrequenciesAreUsed) {
  const golden::Golden golden = dense_golden({});
  golden::Golden divided = golden;
  const golden::TempFolder folder;
  const Path plain = write_gguf(folder, golden, encode_as(DType::kF32));
  const auto tokens = some_tokens(30);
  const auto before = ModelRunner(plain, kReference).run(tokens, 0, 1);
  divided.tensors.push_back({"rope_freqs.weight", DType::kF32, {32}});
  const auto with = [](float divisor) {
    return [divisor](const std::string& name, const std::vector<std::int64_t>& shape,
                     const std::vector<float>& values) {
      if (name != "rope_freqs.weight") return encode_as(DType::kF32)(name, shape, values);
      return encode_as(DType::kF32)(name, shape, std::vector<float>(32, divisor));
    };
  };
  const Path ones = write_gguf(folder, divided, with(1.0f));
  EXPECT_EQ(ModelRunner(ones, kReference).run(tokens, 0, 1), before);
  const Path eights = write_gguf(folder, divided, with(8.0f));
  EXPECT_NE(ModelRunner(eights, kReference).run(tokens, 0, 1), before);
}

}  // namespace
}  // namespace bundle::model
