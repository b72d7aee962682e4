// `build --quantize`: what becomes of every architecture's weights, that it is the same everywhere,
// and what is refused.
#include <cmath>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/build.h"
#include "packager/inspect.h"
#include "packager/quantize/file_maker.h"
#include "packager/quantize/plan_gguf.h"
#include "packager/quantize/plan_safetensors.h"
#include "packager/transfer/export_model.h"
#include "runtime/format/model_config.h"
#include "tests/model/gguf_checkpoint.h"
#include "tests/model/model_runner.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class QuantizeTest : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path model_ = folder_.path() / "tiny";
  Path root_ = folder_.path() / "store";
  Store store_ = *Store::open(root_);
  BuildOptions options_ = sample::no_runtime();

  Result<BuildResult> build_as(const std::string& quantize) {
    options_.name = "tiny";
    options_.quantize = quantize;
    return build(model_, store_, options_, {});
  }

  std::string refusal(const std::string& quantize) {
    const auto built = build_as(quantize);
    EXPECT_THAT(sample::files_below(StorePaths{root_}.temporary()), IsEmpty());
    return built ? "built" : built.error().message();
  }

  format::Checkpoint stored() { return *format::Checkpoint::open(store_.resolve("tiny")->model); }
};

double cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

struct Kind {
  const char* name;
  double likeness;  // least cosine between the logits and the reference's, of random weights
  double routed;    // the same where a near-tie may send a token to another expert
};

class QuantizedGolden : public QuantizeTest,
                        public testing::WithParamInterface<std::tuple<std::string, Kind>> {};

// Names, turned rows, stacked experts, metadata: a mistake in any of them makes other logits.
TEST_P(QuantizedGolden, GivesNearlyTheReferenceLogits) {
  const auto& [name, kind] = GetParam();
  const golden::Golden golden = model::load_golden(name);
  ASSERT_TRUE(golden::make_checkpoint(golden, model_));
  const auto built = build_as(kind.name);
  ASSERT_TRUE(built) << built.error().message();
  const Path out = folder_.path() / "out";
  ASSERT_TRUE(export_directory(store_, *store_.resolve("tiny"), out, {}));
  model::ModelRunner runner(out, model::test_devices().back());
  const bool routes =
      name.starts_with("deepseek") || name.starts_with("mixtral") || name.ends_with("_moe");
  const double least = routes ? kind.routed : kind.likeness;
  for (const golden::Prompt& prompt : golden.prompts) {
    runner.set_prompt(static_cast<std::int64_t>(prompt.tokens.size()));
    const auto logits = runner.run(prompt.tokens, 0, 1);
    EXPECT_GT(cosine(logits, prompt.last), least) << prompt.tokens.size() << " tokens";
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, QuantizedGolden,
    testing::Combine(testing::Values("llama_tied", "llama3_rope", "qwen2_bias", "qwen3_qknorm",
                                     "qwen3_moe", "mixtral", "deepseek_v2_lite", "deepseek_v3",
                                     "deepseek_v3_mtp"),
                     testing::Values(Kind{"q8_0", 0.999, 0.9}, Kind{"q4_0", 0.9, 0.7},
                                     Kind{"q4_k", 0.9, 0.6}, Kind{"fp8", 0.97, 0.85},
                                     Kind{"int8", 0.999, 0.9})),
    [](const auto& test) { return std::get<0>(test.param) + "_" + std::get<1>(test.param).name; });

// FP8 as published is a source too: of GGUF types.
INSTANTIATE_TEST_SUITE_P(
    FromFp8, QuantizedGolden,
    testing::Combine(testing::Values("deepseek_v3_fp8"),
                     testing::Values(Kind{"q8_0", 0.999, 0.9}, Kind{"q4_k", 0.9, 0.6})),
    [](const auto& test) { return std::string(std::get<1>(test.param).name); });

TEST_F(QuantizeTest, TheConfigurationIsTheSame) {
  for (const char* name :
       {"llama3_rope", "qwen3_moe", "mixtral", "deepseek_v3", "deepseek_v3_mtp"}) {
    std::filesystem::remove_all(model_);
    ASSERT_TRUE(golden::make_checkpoint(model::load_golden(name), model_));
    const auto published = *format::Checkpoint::open(*format::ModelSource::open(model_));
    ASSERT_TRUE(build_as("q8_0"));
    const auto was = *format::read_model_config(published);
    const auto is = *format::read_model_config(stored());
    EXPECT_EQ(is.architecture, was.architecture);
    EXPECT_EQ(is.num_layers, was.num_layers);
    EXPECT_EQ(is.num_mtp_layers, was.num_mtp_layers);
    EXPECT_EQ(is.max_positions, was.max_positions);
    EXPECT_EQ(is.vocab_size, was.vocab_size);
    EXPECT_EQ(is.tied_embeddings, was.tied_embeddings);
    EXPECT_EQ(is.eos_ids, was.eos_ids);
    EXPECT_EQ(is.bos_id, was.bos_id);
    EXPECT_EQ(is.sliding_window, was.sliding_window);
    EXPECT_FLOAT_EQ(is.rms_norm_eps, was.rms_norm_eps);
    EXPECT_FLOAT_EQ(is.rope.theta, was.rope.theta);
    ASSERT_EQ(is.moe.has_value(), was.moe.has_value());
    if (!is.moe) continue;
    EXPECT_EQ(is.moe->num_experts, was.moe->num_experts);
    EXPECT_EQ(is.moe->intermediate_size, was.moe->intermediate_size);
    EXPECT_EQ(is.moe->norm_topk_prob, was.moe->norm_topk_prob);
    EXPECT_EQ(is.moe->scoring, was.moe->scoring);
  }
}

TEST_F(QuantizeTest, TheSameDigestEverywhere) {
  ASSERT_TRUE(sample::write_model(model_));
  for (const char* kind : {"q8_0", "q4_0", "q4_k", "fp8", "int8"}) {
    const auto first = build_as(kind);
    ASSERT_TRUE(first) << first.error().message();
    const Path elsewhere = folder_.path() / "elsewhere";
    std::filesystem::remove_all(elsewhere);
    std::filesystem::create_directories(elsewhere);
    std::filesystem::copy(model_, elsewhere / "deeper");
    Store other = *Store::open(folder_.path() / (std::string("other-") + kind));
    const auto second = build(elsewhere / "deeper", other, options_, {});
    ASSERT_TRUE(second);
    EXPECT_EQ(first->digest, second->digest) << kind;
    EXPECT_EQ(first->digest, build_as(kind)->digest) << kind;
  }
}

std::string made_with(const quantize::PlannedFile& file, const format::Checkpoint& checkpoint,
                      int threads) {
  char path[] = "/tmp/bundle-quantize-XXXXXX";
  const Fd fd(::mkstemp(path));
  ::unlink(path);
  const quantize::ElementMeter meter = [](std::uint64_t) { return true; };
  EXPECT_TRUE(quantize::make_file(file, checkpoint, fd.get(), threads, meter));
  std::string bytes(file.size, '\0');
  EXPECT_EQ(::pread(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return bytes;
}

TEST_F(QuantizeTest, ThreadsDoNotShow) {
  ASSERT_TRUE(golden::make_checkpoint(model::load_golden("mixtral"), model_));
  const auto checkpoint = *format::Checkpoint::open(*format::ModelSource::open(model_));
  const auto config = *format::read_model_config(checkpoint);
  const auto gguf = quantize::plan_gguf(checkpoint, config, quantize::Quantization::kQ4K);
  ASSERT_TRUE(gguf) << gguf.error().message();
  EXPECT_EQ(made_with(*gguf, checkpoint, 1), made_with(*gguf, checkpoint, 7));
  for (const auto kind : {quantize::Quantization::kF8, quantize::Quantization::kInt8}) {
    const auto bytes = quantize::plan_safetensors(checkpoint, kind);
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(made_with(bytes->files[0], checkpoint, 1), made_with(bytes->files[0], checkpoint, 7));
  }
}

TEST_F(QuantizeTest, AGgufKeepsItsMetadataAndNames) {
  const golden::Golden golden = model::load_golden("llama_tied");
  std::filesystem::create_directories(model_);
  sample::write_text(model_ / "float.gguf",
                     model::golden_gguf(golden, model::encode_as(DType::kBF16)));
  const auto was = *format::Checkpoint::open(*format::ModelSource::open(model_));
  const auto built = build_as("q4_k");
  ASSERT_TRUE(built) << built.error().message();
  const auto is = stored();
  for (const auto& [key, value] : was.gguf()->values()) {
    const auto* kept = is.gguf()->find(key);
    ASSERT_NE(kept, nullptr) << key;
    EXPECT_EQ(*kept, value) << key;
  }
  ASSERT_EQ(is.tensors().size(), was.tensors().size());
  for (const auto& [name, tensor] : was.tensors()) {
    EXPECT_EQ(is.find(name)->shape, tensor.shape) << name;
  }
  EXPECT_EQ(is.find("token_embd.weight")->type, DType::kQ8_0);
  // Rows of no whole super-blocks take the type that ggml's own tools fall back on.
  EXPECT_EQ(is.find("blk.0.attn_q.weight")->type, DType::kQ5_0);
  EXPECT_EQ(is.find("blk.0.attn_norm.weight")->type, DType::kF32);
  EXPECT_THAT(refusal("fp8"),
              HasSubstr("a GGUF cannot hold 8-bit weights with scales beside them"));
}

TEST_F(QuantizeTest, BundleYamlAsksForItTooAndTheBundleSaysSo) {
  ASSERT_TRUE(sample::write_model(model_));
  sample::write_text(model_ / "bundle.yaml", "quantize: q4_0\n");
  const auto built = build(model_, store_, options_, {});
  ASSERT_TRUE(built) << built.error().message();
  const Json shown = inspect_bundle(*store_.resolve("tiny"));
  EXPECT_EQ(shown.at("quantize"), "q4_0");
  EXPECT_EQ(shown.at("model").at("format"), "gguf");
  sample::write_text(model_ / "bundle.yaml", "quantize: q4_9\n");
  EXPECT_THAT(build(model_, store_, options_, {}).error().message(), HasSubstr("q4_k"));
}

TEST_F(QuantizeTest, ShardsStayShards) {
  const golden::Golden golden = model::load_golden("llama_tied");
  ASSERT_TRUE(sample::write_model(model_));
  std::vector<golden::StoredTensor> parts[2];
  JsonObject map;
  for (const golden::TensorSpec& spec : golden.tensors) {
    const std::size_t part = map.size() % 2;
    parts[part].push_back({spec.name, spec.type, spec.shape, *golden::tensor_bytes(golden, spec)});
    map[spec.name] = part == 0 ? "a.safetensors" : "b.safetensors";
  }
  std::filesystem::remove(model_ / "model.safetensors");
  sample::write_text(model_ / "a.safetensors", golden::safetensors_text(parts[0]));
  sample::write_text(model_ / "b.safetensors", golden::safetensors_text(parts[1]));
  sample::write_text(model_ / "model.safetensors.index.json",
                     print_json(JsonObject{{"weight_map", std::move(map)}}));
  const auto built = build_as("fp8");
  ASSERT_TRUE(built) << built.error().message();
  const auto checkpoint = stored();
  EXPECT_EQ(checkpoint.find("model.layers.0.self_attn.q_proj.weight")->type, DType::kF8E4M3);
  EXPECT_EQ(checkpoint.find("model.embed_tokens.weight")->type, DType::kBF16);
  EXPECT_TRUE(format::read_model_config(checkpoint)->fp8_blocks);
  ASSERT_TRUE(build_as("int8"));
  const auto integers = stored();
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  EXPECT_EQ(integers.find(name)->type, DType::kI8);
  const std::vector<std::int64_t> each_row{integers.find(name)->shape[0], 1};
  EXPECT_EQ(integers.find(name + "_scale")->shape, each_row);
  EXPECT_FALSE(format::read_model_config(integers)->fp8_blocks);
  const auto whole = build_as("q8_0");
  ASSERT_TRUE(whole) << whole.error().message();
  EXPECT_TRUE(stored().is_gguf());
}

TEST_F(QuantizeTest, RefusesWhatIsQuantizedAlready) {
  ASSERT_TRUE(golden::make_checkpoint(model::load_golden("deepseek_v3_fp8"), model_));
  EXPECT_THAT(refusal("fp8"), HasSubstr("quantized already"));
  std::filesystem::remove_all(model_);
  std::filesystem::create_directories(model_);
  sample::write_text(model_ / "x.gguf", model::golden_gguf(model::load_golden("llama_tied"),
                                                           model::encode_as(DType::kQ8_0)));
  EXPECT_THAT(refusal("q4_0"), HasSubstr("quantized already"));
  EXPECT_THAT(refusal("q9"), HasSubstr("there is no quantization 'q9'"));
}

/// The sample model with one number of one matrix replaced.
void spoil(const Path& model, float value) {
  const auto checkpoint = *format::Checkpoint::open(*format::ModelSource::open(model));
  const auto& data = checkpoint.find("model.layers.0.mlp.up_proj.weight")->data;
  std::string file = *read_file(model / "model.safetensors");
  const std::size_t at = file.find(std::string(as_text(data.first(64))));
  ASSERT_NE(at, std::string::npos);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const auto half = static_cast<std::uint16_t>(bits >> 16);
  std::memcpy(file.data() + at + 10, &half, sizeof half);
  sample::write_text(model / "model.safetensors", file);
}

TEST_F(QuantizeTest, RefusesNumbersThatNoTypeHolds) {
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 1e9f}) {
    ASSERT_TRUE(sample::write_model(model_));
    spoil(model_, bad);
    EXPECT_THAT(refusal("q8_0"), HasSubstr("'blk.0.ffn_up.weight' holds a number")) << bad;
  }
}

TEST_F(QuantizeTest, AStoppedBuildLeavesNothing) {
  ASSERT_TRUE(sample::write_model(model_));
  options_.quantize = "q4_k";
  int calls = 0;
  const Progress stop = [&](std::string_view stage, std::uint64_t, std::uint64_t) {
    return stage != "quantizing" || ++calls < 3;
  };
  EXPECT_EQ(build(model_, store_, options_, stop).error().code, ErrorCode::kInterrupted);
  EXPECT_THAT(sample::files_below(StorePaths{root_}.temporary()), IsEmpty());
}

TEST_F(QuantizeTest, TheReportIsKeptBesideTheBundle) {
  ASSERT_TRUE(sample::write_model(model_));
  const auto bare = build_as("q8_0");
  options_.measure = [](const format::ModelSource& published,
                        const format::ModelSource& quantized) -> Result<Json> {
    EXPECT_NE(published.find("model.safetensors"), nullptr);
    EXPECT_NE(quantized.find("model.gguf"), nullptr);
    return Json(JsonObject{{"same_top_token", 0.5}});
  };
  const auto built = build_as("q8_0");
  ASSERT_TRUE(built) << built.error().message();
  EXPECT_EQ(built->digest, bare->digest) << "it lies outside the digest";
  const Json referrers = *inspect_referrers(StorePaths{root_}, *store_.resolve("tiny"));
  ASSERT_EQ(referrers.as_array().size(), 1u);
  EXPECT_EQ(referrers.at(0).at("kind"), "quality");
  EXPECT_EQ(referrers.at(0).at("report").at("same_top_token"), 0.5);
  EXPECT_EQ(referrers.at(0).at("report").at("quantize"), "q8_0");
}

TEST_F(QuantizeTest, AReportThatCannotBeMadeIsAWarning) {
  ASSERT_TRUE(sample::write_model(model_));
  options_.measure = [](const auto&, const auto&) -> Result<Json> { return not_found("no words"); };
  const auto built = build_as("q8_0");
  ASSERT_TRUE(built);
  EXPECT_THAT(built->warnings, Contains(HasSubstr("no words")));
}

}  // namespace
}  // namespace bundle::packager
