#include "runtime/sizing/parameters.h"

#include "tests/sizing/published_models.h"

namespace bundle::sizing {
namespace {

TEST(Parameters, EqualThePublishedCounts) {
  const auto models = published_models();
  EXPECT_GE(models.size(), 40u);
  for (const PublishedModel& model : models) {
    const auto parameters = count_parameters(model.config);
    ASSERT_TRUE(parameters) << model.name << ": " << parameters.error().message();
    EXPECT_EQ(parameters->total, model.parameters) << model.name;
    EXPECT_EQ(parameters->active, model.active) << model.name;
  }
}

TEST(Parameters, TellTheEmbeddingFromTheHead) {
  format::ModelConfig config = published_models().front().config;
  config.tied_embeddings = false;
  const auto separate = count_parameters(config);
  EXPECT_EQ(separate->lm_head, separate->embedding);
  config.tied_embeddings = true;
  const auto tied = count_parameters(config);
  EXPECT_EQ(tied->lm_head, 0u);
  EXPECT_EQ(separate->total - tied->total, separate->embedding);
}

TEST(Parameters, RefuseSizesBeyondAnyMemory) {
  format::ModelConfig config;
  config.architecture = "MixtralForCausalLM";
  config.vocab_size = config.hidden_size = config.intermediate_size = 1 << 20;
  config.num_layers = 4096;
  config.num_heads = config.num_kv_heads = config.head_dim = 8;
  config.moe = format::MoeConfig{};
  config.moe->num_experts = 1 << 16;
  config.moe->num_experts_per_token = 1;
  config.moe->intermediate_size = 1 << 20;
  EXPECT_FALSE(count_parameters(config));
}

}  // namespace
}  // namespace bundle::sizing
