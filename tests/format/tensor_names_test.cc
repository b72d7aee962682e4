#include "runtime/format/tensor_names.h"

#include "runtime/format/model_config.h"
#include "tests/format/gguf_builder.h"
#include "tests/format/model_folder.h"
#include "tests/format/refusal.h"
#include "tests/format/safetensors_bytes.h"

namespace bundle::format {
namespace {

using Names = std::vector<std::string>;

TEST(TensorNames, MapsHuggingFaceToGguf) {
  const std::vector<std::pair<const char*, const char*>> pairs = {
      {"model.embed_tokens.weight", "token_embd.weight"},
      {"model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "output.weight"},
      {"rope_freqs.weight", "rope_freqs.weight"},
      {"model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight"},
      {"model.layers.11.post_attention_layernorm.weight", "blk.11.ffn_norm.weight"},
      {"model.layers.2.self_attn.q_proj.weight", "blk.2.attn_q.weight"},
      {"model.layers.2.self_attn.k_proj.bias", "blk.2.attn_k.bias"},
      {"model.layers.2.self_attn.v_proj.bias", "blk.2.attn_v.bias"},
      {"model.layers.2.self_attn.o_proj.weight", "blk.2.attn_output.weight"},
      {"model.layers.2.self_attn.q_norm.weight", "blk.2.attn_q_norm.weight"},
      {"model.layers.2.self_attn.k_norm.weight", "blk.2.attn_k_norm.weight"},
      {"model.layers.2.mlp.gate_proj.weight", "blk.2.ffn_gate.weight"},
      {"model.layers.2.mlp.up_proj.weight", "blk.2.ffn_up.weight"},
      {"model.layers.2.mlp.down_proj.weight", "blk.2.ffn_down.weight"},
      {"model.layers.2.mlp.gate.weight", "blk.2.ffn_gate_inp.weight"},
      {"model.layers.2.block_sparse_moe.gate.weight", "blk.2.ffn_gate_inp.weight"},
      {"model.layers.2.mlp.gate.e_score_correction_bias", "blk.2.exp_probs_b.bias"},
      {"model.layers.2.mlp.experts.up_proj.weight", "blk.2.ffn_up_exps.weight"},
      {"model.layers.2.mlp.shared_experts.down_proj.weight", "blk.2.ffn_down_shexp.weight"},
      {"model.layers.2.self_attn.q_a_proj.weight", "blk.2.attn_q_a.weight"},
      {"model.layers.2.self_attn.q_a_layernorm.weight", "blk.2.attn_q_a_norm.weight"},
      {"model.layers.2.self_attn.q_b_proj.weight", "blk.2.attn_q_b.weight"},
      {"model.layers.2.self_attn.kv_a_proj_with_mqa.weight", "blk.2.attn_kv_a_mqa.weight"},
      {"model.layers.2.self_attn.kv_a_layernorm.weight", "blk.2.attn_kv_a_norm.weight"},
      {"model.layers.2.self_attn.kv_b_proj.weight", "blk.2.attn_kv_b.weight"},
      {"model.layers.61.eh_proj.weight", "blk.61.nextn.eh_proj.weight"},
      {"model.layers.61.shared_head.norm.weight", "blk.61.nextn.shared_head_norm.weight"},
  };
  for (const auto& [hugging_face, gguf] : pairs) {
    EXPECT_EQ(gguf_tensor_names(hugging_face), Names{gguf});
  }
}

TEST(TensorNames, FindsExpertsInStacksAndAlone) {
  EXPECT_EQ(gguf_tensor_names("model.layers.3.mlp.experts.17.gate_proj.weight"),
            (Names{"blk.3.ffn_gate_exps.weight[17]", "blk.3.ffn_gate.17.weight"}));
  EXPECT_EQ(gguf_tensor_names("model.layers.3.block_sparse_moe.experts.0.w2.weight"),
            (Names{"blk.3.ffn_down_exps.weight[0]", "blk.3.ffn_down.0.weight"}));
  EXPECT_EQ(gguf_tensor_names("model.layers.3.block_sparse_moe.experts.0.w3.weight")[0],
            "blk.3.ffn_up_exps.weight[0]");
}

TEST(TensorNames, HasNoneForOthers) {
  for (const char* name :
       {"", "model.layers.", "model.layers.x.mlp.up_proj.weight", "model.layers.1",
        "model.layers.1.", "model.layers.1.mlp.up_proj",
        "model.layers.1.self_attn.rotary_emb.inv_freq",
        "model.layers.1.mlp.experts.x.up_proj.weight", "model.layers.1.mlp.experts.1.other.weight",
        "model.layers.1.mlp.up_proj.weight_scale_inv", "blk.0.attn_q.weight"}) {
    EXPECT_EQ(gguf_tensor_names(name), Names{}) << name;
  }
}

TEST(FindTensor, SpeaksHuggingFaceNamesForBothFormats) {
  ModelFolder gguf;
  GgufBuilder builder;
  builder.tensor("blk.0.attn_q.weight", 0, {1}, "qqqq")
      .tensor("blk.1.ffn_up_exps.weight", 0, {1, 1, 2}, "00001111")
      .tensor("blk.2.ffn_up.1.weight", 0, {1, 1}, "oldo");
  gguf.write("m.gguf", builder.build());
  const auto a = gguf.open();
  ASSERT_TRUE(a) << a.error().message();
  EXPECT_EQ(as_text((*find_tensor(*a, "model.layers.0.self_attn.q_proj.weight"))->data), "qqqq");
  EXPECT_EQ(as_text((*find_tensor(*a, "model.layers.1.mlp.experts.1.up_proj.weight"))->data),
            "1111");
  EXPECT_EQ(as_text((*find_tensor(*a, "model.layers.2.mlp.experts.1.up_proj.weight"))->data),
            "oldo");
  EXPECT_EQ(find_optional_tensor(*a, "lm_head.weight"), nullptr);
  expect_refused(find_tensor(*a, "lm_head.weight"), "'lm_head.weight' ('output.weight' in GGUF)",
                 ErrorCode::kNotFound);
  expect_refused(find_tensor(*a, "odd"), "GGUF has no name for it", ErrorCode::kNotFound);

  ModelFolder safetensors;
  safetensors.write("model.safetensors", one_tensor_file("lm_head.weight", "U8", 1, "h"));
  const auto b = safetensors.open();
  ASSERT_TRUE(b) << b.error().message();
  EXPECT_EQ(as_text((*find_tensor(*b, "lm_head.weight"))->data), "h");
  expect_refused(find_tensor(*b, "model.norm.weight"), "'model.norm.weight'", ErrorCode::kNotFound);
}

}  // namespace
}  // namespace bundle::format
