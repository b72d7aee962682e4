// Cache, activations and what is left: the figures of docs/sizing.md.
#include <gtest/gtest.h>

#include "cloud/catalog/catalog.h"
#include "runtime/sizing/parameters.h"
#include "runtime/sizing/rank_memory.h"

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

RankMemory memory_of(const char* model, const char* gpu, const Layout& layout) {
  const ModelShape shape = shape_named(model);
  return rank_memory(predicted_parts(shape).value(), shape, layout,
                     (*built_in().gpu(gpu))->usable_gib, engine_profile("bundle"));
}

TEST(RankKvBytes, OfEveryModelAreTheCatalogues) {
  for (const catalog::ModelEntry& entry : built_in().models()) {
    const auto shape = catalog::shape_of(entry);
    if (!shape || shape->indexer.heads > 0) continue;
    const format::ModelConfig& config = shape->config;
    const std::int64_t layer = config.mla ? config.mla->kv_lora_rank + config.mla->qk_rope_head_dim
                                          : 2 * config.num_kv_heads * config.head_dim;
    EXPECT_EQ(rank_kv_bytes(*shape, Layout{}, KvType{}, 1),
              static_cast<std::uint64_t>(config.num_layers * layer * 2))
        << entry.name;
  }
}

TEST(RankKvBytes, OfGroupedHeadsDivideUntilOneIsLeft) {
  const ModelShape llama = shape_named("llama-3.3-70b");  // 8 key/value heads
  EXPECT_EQ(rank_kv_bytes(llama, Layout{}, KvType{}, 1), 327680u);
  EXPECT_EQ(rank_kv_bytes(llama, Layout{8}, KvType{}, 1), 327680u / 8);
  EXPECT_EQ(rank_kv_bytes(llama, Layout{16}, KvType{}, 1), 327680u / 8);
  EXPECT_EQ(rank_kv_bytes(llama, Layout{8, 2}, KvType{}, 1), 327680u / 16);
  EXPECT_EQ(rank_kv_bytes(llama, Layout{8}, KvType{"fp8", 1}, 1000), 327680u / 16 * 1000);
  // 80 layers of 8 heads of 128 elements, and a scale of two bytes for each 32.
  EXPECT_EQ(rank_kv_bytes(llama, Layout{}, kv_type("int8").value(), 1), 80u * 2 * 8 * (128 + 8));
}

TEST(RankKvBytes, OfTheLatentAreOnEveryRank) {
  const ModelShape r1 = shape_named("deepseek-r1");
  EXPECT_EQ(rank_kv_bytes(r1, Layout{}, KvType{}, 1), 70272u);
  EXPECT_EQ(rank_kv_bytes(r1, Layout{8, 1, 8, 1}, KvType{}, 1), 70272u);
  const ModelShape sparse = shape_named("deepseek-v3.2");
  EXPECT_EQ(rank_kv_bytes(sparse, Layout{8, 1, 8, 1}, KvType{}, 1), 70272u + 61 * 132);
}

TEST(RankKvBytes, OfASlidingWindowStopGrowing) {
  ModelShape shape = shape_named("llama-3.1-8b");
  shape.config.sliding_window = 1024;
  const std::uint64_t window = rank_kv_bytes(shape, Layout{}, KvType{}, 1024);
  EXPECT_EQ(rank_kv_bytes(shape, Layout{}, KvType{}, 100000), window);
  shape.config.full_attention_layers = {0};
  EXPECT_GT(rank_kv_bytes(shape, Layout{}, KvType{}, 100000), window);
}

TEST(RankMemory, OfDeepseekR1FitsEightH200AndNotEightH100) {
  const Layout layout{8, 1, 8, 1};
  const ModelShape shape = shape_named("deepseek-r1");
  const RankMemory h200 = memory_of("deepseek-r1", "h200", layout);
  EXPECT_NEAR(static_cast<double>(h200.weights) / kGiB, 79.3, 0.05);
  EXPECT_NEAR(static_cast<double>(kv_tokens(h200, shape, layout, KvType{}, 8192)), 610e3, 10e3);
  EXPECT_NEAR(static_cast<double>(kv_tokens(h200, shape, layout, KvType{"fp8", 1}, 8192)), 1.22e6,
              20e3);
  const RankMemory h100 = memory_of("deepseek-r1", "h100", layout);
  EXPECT_LT(static_cast<double>(h100.left) / kGiB, -10);
  EXPECT_EQ(kv_tokens(h100, shape, layout, KvType{}, 8192), 0);
}

TEST(RankMemory, CountsTheCacheOfEveryAttentionGroup) {
  const ModelShape shape = shape_named("deepseek-r1");
  const Layout together{8, 1, 8, 1};
  const Layout parallel{8, 1, 8, 8};
  const RankMemory memory = memory_of("deepseek-r1", "b200", parallel);
  const std::int64_t one = memory.left / 70272;
  EXPECT_EQ(kv_tokens(memory, shape, parallel, KvType{}, 1), one * 8);
  EXPECT_LT(memory.left, memory_of("deepseek-r1", "b200", together).left);
}

TEST(RankMemory, OfOneGpuNeedsNoExchange) {
  EXPECT_EQ(memory_of("llama-3.1-8b", "h100", Layout{}).exchange, 0u);
  EXPECT_GT(memory_of("llama-3.1-8b", "h100", Layout{2}).exchange, 0u);
}

TEST(Activations, GrowWithTheStepAndTheVocabulary) {
  const EngineProfile& profile = engine_profile("bundle");
  const ModelShape llama = shape_named("llama-3.1-8b");
  const ModelShape qwen = shape_named("qwen3-8b");
  EXPECT_LT(activation_bytes(llama, Layout{}, profile, 1024),
            activation_bytes(llama, Layout{}, profile, 8192));
  EXPECT_LT(activation_bytes(llama, Layout{}, profile, 8192),
            activation_bytes(qwen, Layout{}, profile, 8192));
}

}  // namespace
}  // namespace bundle::sizing
