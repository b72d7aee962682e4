#include "runtime/format/gguf_config.h"

#include <cmath>

#include "tests/format/gguf_builder.h"
#include "tests/format/model_folder.h"
#include "tests/format/refusal.h"

namespace bundle::format {
namespace {

using Kind = RopeConfig::Kind;

Result<ModelConfig> read(const GgufBuilder& builder) {
  ModelFolder folder;
  folder.write("m.gguf", builder.build());
  BUNDLE_TRY(const Checkpoint checkpoint, folder.open());
  return read_model_config(checkpoint);
}

ModelConfig parsed(const GgufBuilder& builder) {
  auto config = read(builder);
  EXPECT_TRUE(config) << config.error().message();
  return config ? *config : ModelConfig{};
}

GgufBuilder model(const std::string& arch) {
  GgufBuilder builder;
  small_model(builder, arch);
  return builder;
}

TEST(GgufConfig, ReadsLlama) {
  const ModelConfig config = parsed(model("llama")
                                        .f32("llama.rope.freq_base", 500000.0f)
                                        .tensor("output.weight", 0, {1}, "1234"));
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_EQ(config.vocab_size, 512);
  EXPECT_EQ(config.hidden_size, 128);
  EXPECT_EQ(config.intermediate_size, 352);
  EXPECT_EQ(config.num_layers, 2);
  EXPECT_EQ(config.num_heads, 4);
  EXPECT_EQ(config.num_kv_heads, 2);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_EQ(config.max_positions, 2048);
  EXPECT_FLOAT_EQ(static_cast<float>(config.rms_norm_eps), 1e-5f);
  EXPECT_FALSE(config.tied_embeddings);
  EXPECT_FALSE(config.attention_bias);
  EXPECT_FALSE(config.qk_norm);
  EXPECT_EQ(config.rope.theta, 500000.0);
  EXPECT_EQ(config.rope.kind, Kind::kDefault);
  EXPECT_TRUE(config.rope.interleaved);
  EXPECT_FALSE(config.moe);
  EXPECT_FALSE(config.mla);
}

TEST(GgufConfig, NamesTheArchitecturesAsHuggingFaceDoes) {
  EXPECT_EQ(parsed(model("mistral3")).architecture, "MistralForCausalLM");
  const ModelConfig qwen2 = parsed(model("qwen2").tensor("blk.0.attn_q.bias", 0, {1}, "1234"));
  EXPECT_EQ(qwen2.architecture, "Qwen2ForCausalLM");
  EXPECT_TRUE(qwen2.attention_bias);
  EXPECT_FALSE(qwen2.rope.interleaved);
  EXPECT_TRUE(qwen2.tied_embeddings);
  const ModelConfig qwen3 = parsed(
      model("qwen3").u32("qwen3.attention.key_length", 64).u32("qwen3.attention.value_length", 64));
  EXPECT_EQ(qwen3.architecture, "Qwen3ForCausalLM");
  EXPECT_EQ(qwen3.head_dim, 64);
  EXPECT_TRUE(qwen3.qk_norm);
  expect_refused(read(model("qwen4")), "'qwen4' is not supported");
  expect_refused(read(model("qwen4")), "Did you mean qwen2?");
  expect_refused(read(GgufBuilder().u32("x", 1)), "'general.architecture' is missing");
}

TEST(GgufConfig, TakesTheVocabularyFromWhatThereIs) {
  GgufBuilder builder;
  builder.text("general.architecture", "llama")
      .u32("llama.block_count", 2)
      .u32("llama.context_length", 2048)
      .u32("llama.embedding_length", 128)
      .u32("llama.feed_forward_length", 352)
      .u32("llama.attention.head_count", 4);
  expect_refused(read(builder), "llama.vocab_size");
  builder.texts("tokenizer.ggml.tokens", {"a", "b", "c"});
  EXPECT_EQ(parsed(builder).vocab_size, 3);
  EXPECT_EQ(parsed(builder).num_kv_heads, 4);
  builder.tensor("token_embd.weight", 0, {1, 5}, std::string(20, 'x'));
  EXPECT_EQ(parsed(builder).vocab_size, 5);
}

TEST(GgufConfig, AcceptsListsThatAreEqualInEveryLayer) {
  GgufBuilder builder;
  builder.text("general.architecture", "llama")
      .u32("llama.block_count", 2)
      .u32("llama.context_length", 2048)
      .u32("llama.embedding_length", 128)
      .numbers<std::uint32_t>("llama.feed_forward_length", {352, 352})
      .u32("llama.attention.head_count", 4)
      .u32("llama.vocab_size", 512);
  GgufBuilder uneven = builder;
  EXPECT_EQ(
      parsed(builder.numbers<std::int32_t>("llama.attention.head_count_kv", {2, 2})).num_kv_heads,
      2);
  expect_refused(read(uneven.numbers<std::int32_t>("llama.attention.head_count_kv", {2, 1})),
                 "'llama.attention.head_count_kv' varies by layer");
}

TEST(GgufConfig, ReadsRopeScaling) {
  const auto rope = [](GgufBuilder builder) { return parsed(builder).rope; };
  const RopeConfig linear = rope(model("llama")
                                     .text("llama.rope.scaling.type", "linear")
                                     .f32("llama.rope.scaling.factor", 4.0f));
  EXPECT_EQ(linear.kind, Kind::kLinear);
  EXPECT_EQ(linear.factor, 4.0);
  EXPECT_EQ(rope(model("llama").f32("llama.rope.scale_linear", 2.0f)).kind, Kind::kLinear);
  EXPECT_EQ(rope(model("llama").f32("llama.rope.scale_linear", 1.0f)).kind, Kind::kDefault);
  const RopeConfig none = rope(model("llama")
                                   .text("llama.rope.scaling.type", "none")
                                   .f32("llama.rope.scaling.factor", 4.0f));
  EXPECT_EQ(none.kind, Kind::kDefault);
  EXPECT_EQ(none.factor, 1.0);
  const RopeConfig yarn = rope(model("qwen2")
                                   .text("qwen2.rope.scaling.type", "yarn")
                                   .f32("qwen2.rope.scaling.factor", 4.0f)
                                   .u32("qwen2.rope.scaling.original_context_length", 512)
                                   .f32("qwen2.rope.scaling.yarn_beta_fast", 16.0f));
  EXPECT_EQ(yarn.kind, Kind::kYarn);
  EXPECT_EQ(yarn.original_max_positions, 512);
  EXPECT_EQ(yarn.beta_fast, 16.0);
  EXPECT_FALSE(yarn.attention_factor);
  expect_refused(read(model("llama").text("llama.rope.scaling.type", "longrope")), "'longrope'");
  expect_refused(read(model("llama").u32("llama.rope.dimension_count", 16)), "partial rotary");
  EXPECT_TRUE(read(model("llama").u32("llama.rope.dimension_count", 32)));
}

TEST(GgufConfig, ReadsMixtures) {
  const ModelConfig mixtral =
      parsed(model("llama").u32("llama.expert_count", 8).u32("llama.expert_used_count", 2));
  EXPECT_EQ(mixtral.architecture, "MixtralForCausalLM");
  EXPECT_EQ(mixtral.moe->intermediate_size, 352);
  EXPECT_TRUE(mixtral.moe->norm_topk_prob);
  const ModelConfig qwen = parsed(model("qwen3moe")
                                      .u32("qwen3moe.expert_count", 8)
                                      .u32("qwen3moe.expert_used_count", 2)
                                      .u32("qwen3moe.expert_feed_forward_length", 96));
  EXPECT_EQ(qwen.architecture, "Qwen3MoeForCausalLM");
  EXPECT_EQ(qwen.moe->intermediate_size, 96);
  expect_refused(read(model("llama").u32("llama.expert_count", 8)), "expert_used_count");
}

GgufBuilder deepseek() {
  return model("deepseek2")
      .u32("deepseek2.attention.q_lora_rank", 96)
      .u32("deepseek2.attention.kv_lora_rank", 512)
      .u32("deepseek2.rope.dimension_count", 64)
      .u32("deepseek2.expert_count", 16)
      .u32("deepseek2.expert_used_count", 4)
      .u32("deepseek2.expert_shared_count", 1)
      .u32("deepseek2.expert_feed_forward_length", 128)
      .u32("deepseek2.leading_dense_block_count", 1)
      .f32("deepseek2.expert_weights_scale", 2.5f)
      .flag("deepseek2.expert_weights_norm", true);
}

TEST(GgufConfig, ReadsDeepseekInBothLayouts) {
  const ModelConfig old_layout = parsed(deepseek()
                                            .u32("deepseek2.attention.key_length", 192)
                                            .u32("deepseek2.attention.value_length", 128));
  const ModelConfig new_layout = parsed(deepseek()
                                            .u32("deepseek2.attention.key_length", 576)
                                            .u32("deepseek2.attention.value_length", 512)
                                            .u32("deepseek2.attention.key_length_mla", 192)
                                            .u32("deepseek2.attention.value_length_mla", 128));
  for (const ModelConfig& config : {old_layout, new_layout}) {
    EXPECT_EQ(config.architecture, "DeepseekV2ForCausalLM");
    EXPECT_EQ(config.head_dim, 192);
    EXPECT_EQ(config.num_kv_heads, 4);
    EXPECT_EQ(config.mla->qk_nope_head_dim, 128);
    EXPECT_EQ(config.mla->qk_rope_head_dim, 64);
    EXPECT_EQ(config.mla->v_head_dim, 128);
    EXPECT_EQ(config.mla->kv_lora_rank, 512);
    EXPECT_TRUE(config.rope.interleaved);
  }
}

TEST(GgufConfig, ReadsDeepseekV3) {
  const ModelConfig config = parsed(deepseek()
                                        .u32("deepseek2.attention.key_length", 192)
                                        .u32("deepseek2.attention.value_length", 128)
                                        .u32("deepseek2.expert_gating_func", 2)
                                        .u32("deepseek2.expert_group_count", 4)
                                        .u32("deepseek2.expert_group_used_count", 2)
                                        .u32("deepseek2.nextn_predict_layers", 1)
                                        .text("deepseek2.rope.scaling.type", "yarn")
                                        .f32("deepseek2.rope.scaling.factor", 40.0f)
                                        .f32("deepseek2.rope.scaling.yarn_log_multiplier", 0.1f));
  EXPECT_EQ(config.architecture, "DeepseekV3ForCausalLM");
  EXPECT_EQ(config.num_layers, 1);
  EXPECT_EQ(config.num_mtp_layers, 1);
  EXPECT_EQ(config.moe->topk_method, "noaux_tc");
  EXPECT_EQ(config.moe->num_groups, 4);
  EXPECT_EQ(config.moe->routed_scaling_factor, 2.5);
  EXPECT_NEAR(config.rope.mscale_all_dim, 1.0, 1e-6);
  expect_refused(read(model("deepseek2")), "kv_lora_rank");
}

TEST(GgufConfig, CollectsEndTokens) {
  const ModelConfig config =
      parsed(model("llama")
                 .u32("tokenizer.ggml.eos_token_id", 2)
                 .u32("tokenizer.ggml.eot_token_id", 4)
                 .u32("tokenizer.ggml.bos_token_id", 1)
                 .texts("tokenizer.ggml.tokens",
                        {"<unk>", "<s>", "</s>", "<|im_end|>", "<|eot_id|>", "<|end|>"})
                 .numbers<std::int32_t>("tokenizer.ggml.token_type", {2, 3, 3, 3, 3, 1}));
  EXPECT_EQ(config.eos_ids, (std::vector<std::int32_t>{2, 4, 3}));
  EXPECT_EQ(config.bos_id, 1);
  const ModelConfig without = parsed(model("llama").u32("tokenizer.ggml.bos_token_id", 0xFFFFFFFF));
  EXPECT_FALSE(without.bos_id);
  expect_refused(read(model("llama").u32("tokenizer.ggml.eos_token_id", 0x80000000)),
                 "no token id");
}

TEST(GgufConfig, ReadsSamplingDefaults) {
  const ModelConfig config = parsed(model("llama")
                                        .f32("general.sampling.temp", 0.5f)
                                        .f32("general.sampling.top_p", 0.25f)
                                        .number<std::int32_t>("general.sampling.top_k", 20));
  EXPECT_EQ(config.sampling.temperature, 0.5);
  EXPECT_EQ(config.sampling.top_p, 0.25);
  EXPECT_EQ(config.sampling.top_k, 20);
  expect_refused(read(model("llama").f32("general.sampling.temp", NAN)), "general.sampling.temp");
}

TEST(GgufConfig, RefusesImpossibleValuesByKey) {
  const auto with = [](const char* key, std::int64_t value) {
    GgufBuilder builder;
    builder.text("general.architecture", "llama");
    for (const char* size :
         {"block_count", "context_length", "embedding_length", "feed_forward_length",
          "attention.head_count", "attention.head_count_kv", "vocab_size"}) {
      const std::string name = std::string("llama.") + size;
      builder.number<std::int64_t>(name, std::string_view(size) == key               ? value
                                         : std::string_view(size).starts_with("att") ? 8
                                                                                     : 16);
    }
    return read(builder);
  };
  ASSERT_TRUE(with("vocab_size", 16)) << with("vocab_size", 16).error().message();
  for (const char* key :
       {"block_count", "context_length", "embedding_length", "feed_forward_length",
        "attention.head_count", "attention.head_count_kv", "vocab_size"}) {
    expect_refused(with(key, 0), std::string("llama.") + key);
    expect_refused(with(key, -5), std::string("llama.") + key);
    expect_refused(with(key, std::int64_t{1} << 62), std::string("llama.") + key);
  }
  expect_refused(read(model("llama").f32("llama.rope.freq_base", INFINITY)), "rope_theta");
  expect_refused(read(model("llama").f32("llama.attention.temperature_scale", 0.1f)),
                 "temperature_scale");
  expect_refused(read(model("llama").u32("llama.nextn_predict_layers", 2)), "nextn");
  expect_refused(read(model("qwen3").u32("qwen3.attention.value_length", 16)),
                 "differs from the key length");
}

}  // namespace
}  // namespace bundle::format
