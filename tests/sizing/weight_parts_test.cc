#include "runtime/sizing/weight_parts.h"

#include <gtest/gtest.h>

#include "cloud/catalog/catalog.h"
#include "tests/golden/golden_weights.h"
#include "tests/golden/temp_folder.h"

namespace bundle::sizing {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

const catalog::Catalog& built_in() {
  static const catalog::Catalog catalog = catalog::Catalog::built_in().value();
  return catalog;
}

ModelShape shape_named(const char* name) {
  return catalog::shape_of(**built_in().model(name)).value();
}

std::vector<WeightPart> parts_named(const char* name) {
  return predicted_parts(shape_named(name)).value();
}

TEST(PredictedParts, OfDeepseekR1AreThePublishedTensors) {
  const auto totals = totals_by_type(parts_named("deepseek-r1"));
  EXPECT_EQ(totals.at("F8_E4M3").elements, 680571043840u);
  EXPECT_EQ(totals.at("BF16").elements, 3918786560u);
  EXPECT_EQ(totals.at("F32").elements, 41555600u);
  EXPECT_EQ(total_bytes(parts_named("deepseek-r1"), true), 688574839360u);
  EXPECT_EQ(total_bytes(parts_named("deepseek-r1"), false), 673150611808u);
}

TEST(TokenBytes, CountChosenExpertsAndNoRowsThatAreLookedUp) {
  const ModelShape shape = shape_named("deepseek-r1");
  double others = 0;
  double experts = 0;
  for (const WeightPart& part : parts_named("deepseek-r1")) {
    if (part.prediction || part.role == Role::kEmbedding) continue;
    (part.role == Role::kExpert ? experts : others) += static_cast<double>(part.bytes);
  }
  EXPECT_DOUBLE_EQ(token_bytes(parts_named("deepseek-r1"), shape.config),
                   others + experts * 8 / 256);
  // Tied: the embedding is the output matrix.
  const auto small = parts_named("smollm2-135m");
  EXPECT_DOUBLE_EQ(token_bytes(small, shape_named("smollm2-135m").config),
                   static_cast<double>(total_bytes(small, false)));
}

/// Every model whose publisher gives an exact count, and every checkpoint whose bytes are known.
TEST(PredictedParts, EqualEveryExactFigureOfTheCatalogue) {
  int counts = 0;
  int sizes = 0;
  for (const catalog::ModelEntry& entry : built_in().models()) {
    const auto shape = catalog::shape_of(entry);
    if (!shape) continue;
    const auto parts = predicted_parts(*shape);
    ASSERT_TRUE(parts) << entry.name;
    const Json& published = *find(entry.document, "published");
    std::uint64_t elements = 0;
    for (const auto& [type, total] : totals_by_type(*parts)) elements += total.elements;
    const Json* exact = find(published, "parameters");
    if (exact->is_int64() && entry.name != "Kimi-K2") {
      EXPECT_EQ(elements, static_cast<std::uint64_t>(exact->get_int64())) << entry.name;
      ++counts;
    }
    if (const Json* stored = find(published, "stored")) {
      const auto totals = totals_by_type(*parts);
      for (const char* type : {"F8_E4M3", "BF16", "F32"}) {
        EXPECT_EQ(totals.at(type).elements, static_cast<std::uint64_t>(stored->at(type).as_int64()))
            << entry.name << " " << type;
      }
      ++counts;
    }
    const Json* bytes = find(*find(entry.document, "checkpoint"), "bytes");
    if (bytes == nullptr || !bytes->is_int64()) continue;
    // A published size on disk has the headers too.
    EXPECT_NEAR(static_cast<double>(total_bytes(*parts, true)),
                static_cast<double>(bytes->get_int64()), 100000)
        << entry.name;
    ++sizes;
  }
  EXPECT_GE(counts, 22);
  EXPECT_GE(sizes, 40);
}

/// 3416 of 1.03e12 weights of Kimi K2 are not explained by its configuration.
TEST(PredictedParts, OfKimiK2AreTheirsToTheBillionth) {
  const ModelShape shape = shape_named("kimi-k2");
  std::uint64_t elements = 0;
  const auto parts = predicted_parts(shape);
  for (const WeightPart& part : *parts) {
    const bool scale = part.type == "F32" && part.role != Role::kRouter;
    if (!scale) elements += part.elements;
  }
  EXPECT_NEAR(static_cast<double>(elements), 1026408235864.0, 3416);
}

/// Real checkpoints, tensor by tensor: each role and layer has the predicted elements and bytes.
TEST(StoredParts, EqualPredictedOnesForEveryArchitecture) {
  for (const char* name :
       {"llama_tied", "llama3_rope", "qwen2_bias", "qwen3_qknorm", "qwen3_moe", "mixtral",
        "deepseek_v2_lite", "deepseek_v3", "deepseek_v3_fp8", "deepseek_v3_mtp"}) {
    const auto golden =
        golden::read_golden(Path(BUNDLE_SOURCE_DIR) / "tests/golden" / name).value();
    const golden::TempFolder folder;
    ASSERT_TRUE(golden::make_checkpoint(golden, folder.path()));
    const auto checkpoint =
        format::Checkpoint::open(format::ModelSource::open(folder.path()).value()).value();
    const auto shape = shape_of_config(parse_json(golden.config_json, name).value(), name);
    ASSERT_TRUE(shape) << name << ": " << shape.error().message();
    std::map<std::tuple<Role, std::int64_t, std::string_view>, std::uint64_t> predicted;
    const auto parts = predicted_parts(*shape);
    for (const WeightPart& part : *parts) {
      predicted[{part.role, part.layer, part.type}] = part.bytes;
    }
    for (const WeightPart& part : stored_parts(checkpoint, shape->config)) {
      const std::tuple key{part.role, part.layer, part.type};
      EXPECT_EQ(predicted[key], part.bytes)
          << name << ": role " << static_cast<int>(part.role) << " of layer " << part.layer;
      predicted.erase(key);
    }
    EXPECT_TRUE(predicted.empty()) << name << ": " << predicted.size() << " parts are not stored";
  }
}

TEST(RankBytes, OfDeepseekR1OnEightRanks) {
  const ModelShape shape = shape_named("deepseek-r1");
  const auto parts = parts_named("deepseek-r1");
  const Layout layout{8, 1, 8, 1};
  EXPECT_NEAR(static_cast<double>(rank_bytes(parts, shape, layout)) / kGiB, 79.29, 0.01);
  EXPECT_NEAR(static_cast<double>(replicated_bytes(parts, layout)) / kGiB, 1.06, 0.01);
  // Data-parallel attention copies everything but the experts.
  const Layout parallel{8, 1, 8, 8};
  EXPECT_NEAR(static_cast<double>(rank_bytes(parts, shape, parallel)) / 1e9, 100.8, 0.5);
}

TEST(RankBytes, SumToTheWholeWhereNothingIsReplicated) {
  const ModelShape shape = shape_named("llama-3.1-8b");
  const auto parts = predicted_parts(shape).value();
  EXPECT_EQ(rank_bytes(parts, shape, Layout{}), total_bytes(parts, false));
  std::uint64_t norms = 0;
  for (const WeightPart& part : parts) norms += part.role == Role::kNorm ? part.bytes : 0;
  EXPECT_EQ(rank_bytes(parts, shape, Layout{8}), (total_bytes(parts, false) - norms) / 8 + norms);
  // 16 ranks, 8 key/value heads: they are divided no further.
  std::uint64_t kv = 0;
  for (const WeightPart& part : parts) kv += part.role == Role::kKeyValue ? part.bytes : 0;
  EXPECT_EQ(rank_bytes(parts, shape, Layout{16}),
            (total_bytes(parts, false) - norms - kv) / 16 + kv / 8 + norms);
}

TEST(RankBytes, OfStagesAreThoseOfTheFullestOne) {
  const ModelShape shape = shape_named("llama-3.1-8b");
  const auto parts = predicted_parts(shape).value();
  const std::uint64_t whole = total_bytes(parts, false);
  const std::uint64_t half = rank_bytes(parts, shape, Layout{1, 2});
  EXPECT_GE(half, whole / 2);
  EXPECT_LT(half, whole / 2 + whole / 16);
}

TEST(CheckLayout, RefusesWhatDoesNotDivide) {
  const ModelShape llama = shape_named("llama-3.1-8b");
  EXPECT_TRUE(check_layout(llama, Layout{8}));
  EXPECT_TRUE(check_layout(llama, Layout{16}));
  EXPECT_FALSE(check_layout(llama, Layout{3}));
  EXPECT_FALSE(check_layout(llama, Layout{8, 1, 8, 1}));  // no experts
  EXPECT_FALSE(check_layout(llama, Layout{1, 64}));
  const ModelShape r1 = shape_named("deepseek-r1");
  EXPECT_TRUE(check_layout(r1, Layout{8, 1, 8, 8}));
  EXPECT_FALSE(check_layout(r1, Layout{8, 1, 3, 1}));
  EXPECT_FALSE(check_layout(shape_named("qwen2.5-1.5b"), Layout{8}));  // 12 heads
}

TEST(PredictedParts, RefuseSizesBeyondAnyMemory) {
  ModelShape shape;
  shape.config.architecture = "MixtralForCausalLM";
  shape.config.vocab_size = shape.config.hidden_size = shape.config.intermediate_size = 1 << 30;
  shape.config.num_layers = 4;
  shape.config.num_heads = shape.config.num_kv_heads = shape.config.head_dim = 8;
  EXPECT_FALSE(predicted_parts(shape));
}

}  // namespace
}  // namespace bundle::sizing
