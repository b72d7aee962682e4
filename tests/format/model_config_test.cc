#include "runtime/format/model_config.h"

#include <cmath>

#include "base/file.h"
#include "tests/format/model_folder.h"
#include "tests/format/refusal.h"
#include "tests/format/safetensors_bytes.h"

namespace bundle::format {
namespace {

using Kind = RopeConfig::Kind;

/// A Llama configuration with `changes` (a JSON object) laid over it; a null removes the key.
std::string llama(std::string_view changes = "{}") {
  JsonObject config = parse_json(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "vocab_size": 512, "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "bos_token_id": 0, "eos_token_id": 1})",
                                 "base")
                          ->get_object();
  const Json overlay = parse_json(changes, "changes").value();
  for (const auto& [key, value] : overlay.get_object()) {
    if (value.is_null()) {
      config.erase(key);
    } else {
      config[key] = value;
    }
  }
  return print_json(config);
}

std::string of(std::string_view architecture, std::string_view more = "") {
  return llama(R"({"architectures":[")" + std::string(architecture) + "\"]" +
               (more.empty() ? "" : "," + std::string(more)) + "}");
}

ModelConfig parsed(const std::string& text, std::string_view generation = {}) {
  auto config = parse_model_config(text, generation);
  EXPECT_TRUE(config) << config.error().message();
  return config ? *config : ModelConfig{};
}

ModelConfig golden_config(const std::string& name) {
  const auto text = read_file(Path(BUNDLE_SOURCE_DIR) / "tests/golden" / name / "config.json");
  EXPECT_TRUE(text) << text.error().message();
  return parsed(text.value());
}

TEST(ModelConfig, ReadsTheGoldenDenseModels) {
  const ModelConfig tied = golden_config("llama_tied");
  EXPECT_EQ(tied.architecture, "LlamaForCausalLM");
  EXPECT_EQ(tied.hidden_size, 128);
  EXPECT_EQ(tied.num_layers, 3);
  EXPECT_EQ(tied.num_heads, 4);
  EXPECT_EQ(tied.num_kv_heads, 2);
  EXPECT_EQ(tied.head_dim, 32);
  EXPECT_TRUE(tied.tied_embeddings);
  EXPECT_FALSE(tied.attention_bias);
  EXPECT_EQ(tied.rope.kind, Kind::kDefault);
  EXPECT_FALSE(tied.rope.interleaved);
  EXPECT_EQ(tied.eos_ids, std::vector<std::int32_t>{1});
  EXPECT_EQ(tied.bos_id, 0);
  const ModelConfig scaled = golden_config("llama3_rope");
  EXPECT_EQ(scaled.rope.kind, Kind::kLlama3);
  EXPECT_EQ(scaled.rope.factor, 8.0);
  EXPECT_EQ(scaled.rope.theta, 500000.0);
  EXPECT_EQ(scaled.rope.original_max_positions, 256);
  const ModelConfig qwen2 = golden_config("qwen2_bias");
  EXPECT_TRUE(qwen2.attention_bias);
  EXPECT_FALSE(qwen2.qk_norm);
  EXPECT_EQ(qwen2.sliding_window, 0);
  const ModelConfig qwen3 = golden_config("qwen3_qknorm");
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FALSE(qwen3.attention_bias);
}

TEST(ModelConfig, ReadsTheGoldenMixturesOfExperts) {
  const ModelConfig mixtral = golden_config("mixtral");
  ASSERT_TRUE(mixtral.moe);
  EXPECT_EQ(mixtral.moe->num_experts, 8);
  EXPECT_EQ(mixtral.moe->num_experts_per_token, 2);
  EXPECT_EQ(mixtral.moe->intermediate_size, 352);
  EXPECT_TRUE(mixtral.moe->norm_topk_prob);
  const ModelConfig qwen = golden_config("qwen3_moe");
  ASSERT_TRUE(qwen.moe);
  EXPECT_EQ(qwen.moe->num_experts, 8);
  EXPECT_EQ(qwen.moe->intermediate_size, 96);
  EXPECT_TRUE(qwen.moe->dense_layers.empty());
}

TEST(ModelConfig, ReadsTheGoldenDeepseekModels) {
  const ModelConfig lite = golden_config("deepseek_v2_lite");
  ASSERT_TRUE(lite.mla && lite.moe);
  EXPECT_EQ(lite.mla->q_lora_rank, 0);
  EXPECT_EQ(lite.mla->kv_lora_rank, 512);
  EXPECT_EQ(lite.head_dim, 192);
  EXPECT_EQ(lite.moe->scoring, "softmax");
  EXPECT_TRUE(lite.rope.interleaved);
  const ModelConfig v3 = golden_config("deepseek_v3");
  EXPECT_EQ(v3.mla->q_lora_rank, 96);
  EXPECT_EQ(v3.moe->scoring, "sigmoid");
  EXPECT_EQ(v3.moe->topk_method, "noaux_tc");
  EXPECT_EQ(v3.moe->num_groups, 4);
  EXPECT_EQ(v3.moe->first_dense_layers, 1);
  EXPECT_EQ(v3.moe->routed_scaling_factor, 2.5);
  EXPECT_EQ(v3.rope.kind, Kind::kYarn);
  EXPECT_EQ(v3.rope.mscale_all_dim, 1.0);
  EXPECT_FALSE(v3.fp8_blocks);
  EXPECT_TRUE(golden_config("deepseek_v3_fp8").fp8_blocks);
  EXPECT_EQ(golden_config("deepseek_v3_mtp").num_mtp_layers, 1);
}

TEST(ModelConfig, FillsInWhatTransformersAssumes) {
  const ModelConfig config =
      parsed(llama(R"({"num_key_value_heads":null,"rope_theta":null,"rms_norm_eps":null,
                "bos_token_id":null,"eos_token_id":null})"));
  EXPECT_EQ(config.num_kv_heads, 4);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_EQ(config.rope.theta, 10000.0);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_FALSE(config.tied_embeddings);
  EXPECT_TRUE(config.eos_ids.empty());
  EXPECT_FALSE(config.bos_id);
  EXPECT_EQ(parsed(of("Qwen3ForCausalLM")).head_dim, 128);
  EXPECT_EQ(parsed(of("Qwen2ForCausalLM", R"("head_dim":64)")).head_dim, 64);
  const ModelConfig mixtral = parsed(
      of("MixtralForCausalLM", R"("num_local_experts":4,"rope_theta":null,"rms_norm_eps":null)"));
  EXPECT_EQ(mixtral.rope.theta, 1e6);
  EXPECT_EQ(mixtral.rms_norm_eps, 1e-5);
  EXPECT_TRUE(parsed(llama(R"({"attention_bias":true})")).attention_bias);
}

TEST(ModelConfig, FallsBackToTheModelType) {
  EXPECT_EQ(parsed(llama(R"({"architectures":null})")).architecture, "LlamaForCausalLM");
  EXPECT_EQ(parsed(llama(R"({"architectures":[],"model_type":"qwen3"})")).architecture,
            "Qwen3ForCausalLM");
  expect_refused(parse_model_config(llama(R"({"architectures":null,"model_type":null})")),
                 "neither 'architectures' nor 'model_type'");
}

TEST(ModelConfig, RefusesAnUnknownArchitectureByName) {
  const auto config = parse_model_config(of("Qwen4ForCausalLM"));
  expect_refused(config, "'Qwen4ForCausalLM' is not supported");
  expect_refused(config, "Did you mean Qwen2ForCausalLM?");
  for (const std::string& known : known_architectures()) expect_refused(config, known);
  expect_refused(parse_model_config(llama(R"({"architectures":null,"model_type":"bert"})")),
                 "'bert' is not supported");
}

TEST(ModelConfig, RefusesAbsentAndImpossibleSizesByKey) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "max_position_embeddings"}) {
    const std::string name = std::string("'") + key + "'";
    expect_refused(parse_model_config(llama("{\"" + std::string(key) + "\":null}")), name);
    for (const char* value : {"0", "-1", "9223372036854775807", "\"8\"", "1.5"}) {
      expect_refused(parse_model_config(
                         llama("{\"" + std::string(key) + "\":" + value + R"(,"head_dim":32})")),
                     name);
    }
  }
  expect_refused(parse_model_config(llama(R"({"num_key_value_heads":3})")), "no multiple");
  expect_refused(parse_model_config(llama(R"({"num_key_value_heads":0})")), "num_key_value_heads");
  expect_refused(parse_model_config(llama(R"({"num_attention_heads":6,"num_key_value_heads":2})")),
                 "'hidden_size' is no multiple");
  expect_refused(parse_model_config(llama(R"({"head_dim":33})")), "'head_dim' is 33");
  expect_refused(parse_model_config(llama(R"({"rms_norm_eps":-1})")), "epsilon");
  expect_refused(parse_model_config("[]"), "no JSON object");
  expect_refused(parse_model_config("{"), "not valid JSON");
}

TEST(ModelConfig, RefusesSettingsThatNothingImplements) {
  expect_refused(parse_model_config(llama(R"({"hidden_act":"gelu"})")), "'gelu'");
  expect_refused(parse_model_config(llama(R"({"mlp_bias":true})")), "mlp_bias");
  expect_refused(parse_model_config(llama(R"({"partial_rotary_factor":0.5})")),
                 "partial_rotary_factor");
  expect_refused(parse_model_config(llama(R"({"quantization_config":{"quant_method":"awq"}})")),
                 "'awq'");
}

std::string quantized(std::string_view config) {
  return llama("{\"quantization_config\":" + std::string(config) + "}");
}

std::string compressed(std::string_view weights) {
  return quantized(
      R"({"quant_method":"compressed-tensors","config_groups":{"group_0":{"weights":)" +
      std::string(weights) + "}}}");
}

TEST(ModelConfig, TakesEightBitWeightsWithScales) {
  EXPECT_TRUE(
      parsed(quantized(R"({"quant_method":"fp8","weight_block_size":[128,128]})")).fp8_blocks);
  EXPECT_TRUE(
      parsed(quantized(R"({"quant_method":"fp8","fmt":"e4m3","weight_block_size":[128,128]})"))
          .fp8_blocks);
  for (const char* config :
       {R"({"quant_method":"fp8","activation_scheme":"static"})",
        R"({"quant_method":"fbgemm_fp8"})", R"({"quant_method":"modelopt","quant_algo":"FP8"})"}) {
    EXPECT_FALSE(parsed(quantized(config)).fp8_blocks) << config;
  }
  for (const char* weights : {R"({"num_bits":8,"type":"int","strategy":"channel"})",
                              R"({"num_bits":8,"type":"int","strategy":"tensor","symmetric":true})",
                              R"({"num_bits":8,"type":"float","strategy":"channel"})",
                              R"({"num_bits":8,"type":"float","strategy":"tensor"})"}) {
    EXPECT_FALSE(parsed(compressed(weights)).fp8_blocks) << weights;
  }
  EXPECT_TRUE(
      parsed(compressed(
                 R"({"num_bits":8,"type":"float","strategy":"block","block_structure":[128,128]})"))
          .fp8_blocks);
}

TEST(ModelConfig, RefusesOtherQuantizationsByName) {
  expect_refused(
      parse_model_config(quantized(R"({"quant_method":"fp8","weight_block_size":[64,64]})")),
      "blocks other than 128x128");
  expect_refused(parse_model_config(quantized(
                     R"({"quant_method":"fp8","fmt":"e5m2","weight_block_size":[128,128]})")),
                 "'fp8' with elements of 'e5m2'");
  expect_refused(
      parse_model_config(quantized(R"({"quant_method":"modelopt","quant_algo":"NVFP4"})")),
      "'NVFP4'");
  expect_refused(parse_model_config(quantized(R"({"quant_method":"compressed-tensors"})")),
                 "config_groups");
  expect_refused(
      parse_model_config(quantized(
          R"({"quant_method":"compressed-tensors","sparsity_config":{"format":"sparse-24"},
                         "config_groups":{}})")),
      "'sparse-24'");
  expect_refused(
      parse_model_config(compressed(R"({"num_bits":4,"type":"int","strategy":"group"})")),
      "4-bit int by group");
  expect_refused(parse_model_config(compressed(
                     R"({"num_bits":8,"type":"int","strategy":"channel","symmetric":false})")),
                 "zero points");
  expect_refused(parse_model_config(compressed("null")), "activations alone");
  expect_refused(parse_model_config(compressed("7")), "config.json");
}

RopeConfig rope(std::string_view changes) { return parsed(llama(changes)).rope; }

TEST(RopeConfig, ReadsBothSpellings) {
  for (const char* text :
       {R"({"rope_theta":5e5,"rope_scaling":{"type":"linear","factor":4}})",
        R"({"rope_theta":5e5,"rope_scaling":{"rope_type":"linear","factor":4.0}})",
        R"({"rope_theta":null,"rope_parameters":
            {"rope_type":"linear","factor":4.0,"rope_theta":5e5}})",
        R"({"rope_theta":1.0,"rope_parameters":
            {"rope_type":"linear","factor":4.0,"rope_theta":5e5}})",
        R"({"rope_theta":5e5,"rope_parameters":{},"rope_scaling":{"type":"linear","factor":4}})"}) {
    const RopeConfig config = rope(text);
    EXPECT_EQ(config.kind, Kind::kLinear) << text;
    EXPECT_EQ(config.theta, 5e5) << text;
    EXPECT_EQ(config.factor, 4.0) << text;
  }
  EXPECT_EQ(rope(R"({"rope_parameters":{"rope_type":"default","rope_theta":7.0}})").theta, 7.0);
  EXPECT_EQ(rope(R"({"rope_scaling":{"rope_type":null,"type":"linear","factor":4.0}})").factor,
            4.0);
}

TEST(RopeConfig, ReadsLlama3AndDynamic) {
  const RopeConfig llama3 = rope(R"({"rope_scaling":{"rope_type":"llama3","factor":32.0,
      "low_freq_factor":1.5,"high_freq_factor":3.0,"original_max_position_embeddings":4096}})");
  EXPECT_EQ(llama3.kind, Kind::kLlama3);
  EXPECT_EQ(llama3.low_freq_factor, 1.5);
  EXPECT_EQ(llama3.high_freq_factor, 3.0);
  EXPECT_EQ(llama3.original_max_positions, 4096);
  const RopeConfig dynamic = rope(R"({"rope_scaling":{"type":"dynamic","factor":2}})");
  EXPECT_EQ(dynamic.kind, Kind::kDynamic);
  EXPECT_EQ(dynamic.original_max_positions, 8192);
}

TEST(RopeConfig, ReadsYarnWithItsDefaults) {
  const RopeConfig bare = rope(R"({"rope_scaling":{"type":"yarn","factor":4}})");
  EXPECT_EQ(bare.kind, Kind::kYarn);
  EXPECT_EQ(bare.original_max_positions, 8192);
  EXPECT_EQ(bare.beta_fast, 32.0);
  EXPECT_EQ(bare.beta_slow, 1.0);
  EXPECT_EQ(bare.mscale, 0.0);
  EXPECT_FALSE(bare.attention_factor);
  EXPECT_TRUE(bare.truncate);
  const RopeConfig full = rope(R"({"rope_scaling":{"type":"yarn","factor":null,"beta_fast":16,
      "beta_slow":2,"mscale":0.7,"mscale_all_dim":0.8,"attention_factor":1.2,"truncate":false,
      "original_max_position_embeddings":2048}})");
  EXPECT_EQ(full.factor, 4.0);
  EXPECT_EQ(full.beta_fast, 16.0);
  EXPECT_EQ(full.mscale_all_dim, 0.8);
  EXPECT_EQ(full.attention_factor, 1.2);
  EXPECT_FALSE(full.truncate);
}

TEST(RopeConfig, RefusesWhatGivesNoFrequencies) {
  const auto refused = [](std::string_view scaling, std::string_view part) {
    expect_refused(parse_model_config(llama("{\"rope_scaling\":" + std::string(scaling) + "}")),
                   part);
  };
  refused(R"({"type":"longrope","factor":2})", "'longrope' is not supported");
  refused(R"({"type":"linear"})", "lack 'factor'");
  refused(R"({"type":"linear","factor":0})", "factor");
  refused(R"({"type":"linear","factor":"2"})", "'factor' is not a number");
  refused(R"({"type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4})",
          "lack 'original_max_position_embeddings'");
  refused(R"({"type":"llama3","factor":8,"low_freq_factor":1,
      "original_max_position_embeddings":4096})",
          "lack 'high_freq_factor'");
  refused(R"({"type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,
      "original_max_position_embeddings":4096})",
          "high_freq_factor is not above");
  refused(R"({"type":"yarn","factor":4,"mscale_all_dim":1e200})", "'mscale_all_dim' is 1e+200");
  refused(R"({"type":"yarn","factor":4,"mscale":-1})", "'mscale'");
  refused(R"({"type":"yarn","factor":4,"original_max_position_embeddings":0})",
          "original_max_position_embeddings");
  refused(R"({"type":"yarn","factor":4,"attention_factor":-1})", "attention_factor");
  refused(R"({"full_attention":{"rope_type":"default"}})", "by kind of layer");
  refused("7", "no object");
  refused(R"({"type":"linear","factor":2,"partial_rotary_factor":0.25})", "partial_rotary_factor");
  expect_refused(parse_model_config(llama(R"({"rope_theta":0})")), "rope_theta");
  expect_refused(parse_model_config(llama(R"({"rope_theta":-10000})")), "rope_theta");
}

TEST(SlidingWindow, AppliesWhereTransformersAppliesIt) {
  EXPECT_EQ(parsed(llama(R"({"sliding_window":100})")).sliding_window, 0);
  EXPECT_EQ(parsed(of("MistralForCausalLM")).sliding_window, 4096);
  const std::string null_window = of("MistralForCausalLM", R"("sliding_window":0)");
  EXPECT_EQ(parsed(null_window).sliding_window, 0);
  EXPECT_EQ(parsed(of("MistralForCausalLM", R"("sliding_window":100)")).sliding_window, 100);
  EXPECT_EQ(parsed(of("MistralForCausalLM", R"("sliding_window":8192)")).sliding_window, 0);
  EXPECT_EQ(parsed(of("Qwen2ForCausalLM", R"("sliding_window":100)")).sliding_window, 0);
  expect_refused(parse_model_config(of("MistralForCausalLM", R"("sliding_window":-1)")),
                 "sliding_window");
}

TEST(SlidingWindow, MistralsNullMeansNone) {
  std::string text = of("MistralForCausalLM", R"("sliding_window":100)");
  const std::string_view window = "\"sliding_window\":100";
  text.replace(text.find(window), window.size(), "\"sliding_window\":null");
  EXPECT_EQ(parsed(text).sliding_window, 0);
}

TEST(SlidingWindow, LeavesQwensFirstLayersFull) {
  const auto qwen = [](std::string_view more) {
    return parsed(of("Qwen2ForCausalLM",
                     R"("use_sliding_window":true,"sliding_window":64,)" + std::string(more)));
  };
  const ModelConfig mixed = qwen(R"("max_window_layers":2)");
  EXPECT_EQ(mixed.sliding_window, 64);
  EXPECT_EQ(mixed.full_attention_layers, (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(qwen(R"("max_window_layers":3)").sliding_window, 0);
  const ModelConfig typed =
      qwen(R"("layer_types":["sliding_attention","full_attention","sliding_attention"])");
  EXPECT_EQ(typed.full_attention_layers, std::vector<std::int64_t>{1});
  const std::string start = R"("use_sliding_window":true,"sliding_window":64,"layer_types":)";
  expect_refused(parse_model_config(of("Qwen2ForCausalLM", start + R"(["full_attention"])")),
                 "one entry for each layer");
  expect_refused(
      parse_model_config(of("Qwen2ForCausalLM",
                            start + R"(["full_attention","full_attention","linear_attention"])")),
      "linear_attention");
}

TEST(EndTokens, AreMergedFromBothFiles) {
  const auto ids = [](std::string_view config, std::string_view generation) {
    return parsed(llama(config), generation).eos_ids;
  };
  using Ids = std::vector<std::int32_t>;
  EXPECT_EQ(ids(R"({"eos_token_id":2})", ""), (Ids{2}));
  EXPECT_EQ(ids(R"({"eos_token_id":[2,5,2]})", "{}"), (Ids{2, 5}));
  EXPECT_EQ(ids(R"({"eos_token_id":2})", R"({"eos_token_id":[7,2]})"), (Ids{7, 2}));
  EXPECT_EQ(ids(R"({"eos_token_id":null})", R"({"eos_token_id":7})"), (Ids{7}));
  for (const char* bad : {"-1", "\"</s>\"", "[1,null]", "4294967296", "1.5"}) {
    expect_refused(parse_model_config(llama("{\"eos_token_id\":" + std::string(bad) + "}")),
                   "no token id");
  }
}

TEST(GenerationConfig, GivesSamplingDefaults) {
  const SamplingDefaults sampling =
      parsed(llama(), R"({"temperature":0.6,"top_p":0.95,"top_k":20,"min_p":0,
                          "repetition_penalty":1.05,"do_sample":true})")
          .sampling;
  EXPECT_EQ(sampling.temperature, 0.6);
  EXPECT_EQ(sampling.top_p, 0.95);
  EXPECT_EQ(sampling.top_k, 20);
  EXPECT_EQ(sampling.min_p, 0.0);
  EXPECT_EQ(sampling.repetition_penalty, 1.05);
  EXPECT_FALSE(parsed(llama(), "{}").sampling.temperature);
  expect_refused(parse_model_config(llama(), R"({"temperature":"hot"})"), "'temperature'");
  expect_refused(parse_model_config(llama(), R"({"temperature":-1})"), "'temperature'");
  expect_refused(parse_model_config(llama(), "[]"), "generation_config.json");
}

TEST(Experts, DenseLayersFollowStepAndList) {
  const std::string base = R"("num_experts":8,"num_experts_per_tok":2,"moe_intermediate_size":96)";
  const auto dense = [&](std::string_view more) {
    return parsed(of("Qwen3MoeForCausalLM", base + std::string(more))).moe->dense_layers;
  };
  using Layers = std::vector<std::int64_t>;
  EXPECT_EQ(dense(""), Layers{});
  EXPECT_EQ(dense(R"(,"decoder_sparse_step":2)"), (Layers{0, 2}));
  EXPECT_EQ(dense(R"(,"decoder_sparse_step":2,"mlp_only_layers":[1,0])"), (Layers{0, 1, 2}));
  const auto refused = [&](const std::string& more, std::string_view part) {
    expect_refused(parse_model_config(of("Qwen3MoeForCausalLM", base + more)), part);
  };
  refused(R"(,"decoder_sparse_step":0)", "decoder_sparse_step");
  refused(R"(,"mlp_only_layers":["x"])", "mlp_only_layers");
  expect_refused(parse_model_config(of("Qwen3MoeForCausalLM", R"("num_experts":8,
      "num_experts_per_tok":9,"moe_intermediate_size":96)")),
                 "experts per token");
  expect_refused(parse_model_config(of("Qwen3MoeForCausalLM")), "'num_experts' is missing");
}

TEST(Experts, RefusesContradictions) {
  const auto refused = [](const std::string& more, std::string_view part) {
    expect_refused(parse_model_config(of("DeepseekV3ForCausalLM",
                                         R"("n_routed_experts":16,"num_experts_per_tok":4,
                                 "moe_intermediate_size":128,)" +
                                             more)),
                   part);
  };
  refused(R"("n_group":3,"topk_group":1)", "16 experts do not divide into 3 groups");
  refused(R"("n_group":4,"topk_group":5)", "expert groups used");
  refused(R"("n_shared_experts":-1)", "shared experts");
  refused(R"("scoring_func":"tanh")", "'tanh'");
  refused(R"("topk_method":"best")", "'best'");
  refused(R"("routed_scaling_factor":0)", "routed_scaling_factor");
  refused(R"("routed_scaling_factor":1e300)", "'routed_scaling_factor' is 1e+300");
  refused(R"("routed_scaling_factor":1e-60)", "no 32-bit float");
  refused(R"("kv_lora_rank":0)", "kv_lora_rank");
  refused(R"("qk_rope_head_dim":63)", "even size");
  refused(R"("qk_nope_head_dim":9223372036854775807)", "qk_nope_head_dim");
}

TEST(ModelConfig, ReadsTheFilesOfACheckpoint) {
  ModelFolder folder;
  folder.write("config.json", llama(R"({"vocab_size":null})"))
      .write("generation_config.json", R"({"eos_token_id":9})")
      .write("model.safetensors", one_tensor_file("model.embed_tokens.weight", "U8", 6, "123456"));
  const auto checkpoint = folder.open();
  ASSERT_TRUE(checkpoint) << checkpoint.error().message();
  const auto config = read_model_config(*checkpoint);
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->vocab_size, 6);
  EXPECT_EQ(config->eos_ids, (std::vector<std::int32_t>{9, 1}));
  ModelFolder bare;
  bare.write("model.safetensors", one_tensor_file("a", "U8", 1, "1"));
  expect_refused(read_model_config(*bare.open()), "'config.json'", ErrorCode::kNotFound);
}

}  // namespace
}  // namespace bundle::format
