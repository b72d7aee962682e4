#include "runtime/format/tensor_names.h"

#include <algorithm>
#include <iterator>

namespace bundle::format {
namespace {

struct NamePair {
  std::string_view hugging_face;
  std::string_view gguf;
};

constexpr NamePair kModelNames[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
    {"lm_head.bias", "output.bias"},
    {"rope_freqs.weight", "rope_freqs.weight"},
};

// Behind "model.layers.N." and "blk.N."; a final ".weight" or ".bias" is kept.
constexpr NamePair kLayerNames[] = {
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.q_a_proj", "attn_q_a"},
    {"self_attn.q_a_layernorm", "attn_q_a_norm"},
    {"self_attn.q_b_proj", "attn_q_b"},
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    {"self_attn.kv_b_proj", "attn_kv_b"},
    {"self_attn.k_b_proj", "attn_k_b"},
    {"self_attn.v_b_proj", "attn_v_b"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.gate", "ffn_gate_inp"},
    {"block_sparse_moe.gate", "ffn_gate_inp"},
    {"mlp.experts.gate_proj", "ffn_gate_exps"},
    {"mlp.experts.up_proj", "ffn_up_exps"},
    {"mlp.experts.down_proj", "ffn_down_exps"},
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    {"mlp.shared_experts.down_proj", "ffn_down_shexp"},
    {"eh_proj", "nextn.eh_proj"},
    {"enorm", "nextn.enorm"},
    {"hnorm", "nextn.hnorm"},
    {"embed_tokens", "nextn.embed_tokens"},
    {"shared_head.head", "nextn.shared_head_head"},
    {"shared_head.norm", "nextn.shared_head_norm"},
};

// Behind "….experts.E.": Mixtral's names and everyone else's.
constexpr NamePair kExpertNames[] = {
    {"gate_proj", "ffn_gate"}, {"up_proj", "ffn_up"}, {"down_proj", "ffn_down"},
    {"w1", "ffn_gate"},        {"w3", "ffn_up"},      {"w2", "ffn_down"},
};

template <std::size_t N>
std::string_view lookup(const NamePair (&table)[N], std::string_view name) {
  const auto* at = std::find_if(std::begin(table), std::end(table),
                                [&](const NamePair& pair) { return pair.hugging_face == name; });
  return at == std::end(table) ? std::string_view() : at->gguf;
}

/// Cuts "12." off the front and gives "12"; "" when `text` does not begin so.
std::string_view take_number(std::string_view& text) {
  const std::size_t digits = text.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos || text[digits] != '.') return {};
  const std::string_view number = text.substr(0, digits);
  text.remove_prefix(digits + 1);
  return number;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Cuts ".weight" or ".bias" off the end and gives it; "" when there is neither.
std::string_view take_kind(std::string_view& text) {
  for (const std::string_view kind : {".weight", ".bias"}) {
    if (text.ends_with(kind)) {
      text.remove_suffix(kind.size());
      return kind;
    }
  }
  return {};
}

std::vector<std::string> expert_names(const std::string& block, std::string_view rest) {
  const std::string_view expert = take_number(rest);
  const std::string_view kind = take_kind(rest);
  const std::string_view stem = lookup(kExpertNames, rest);
  if (expert.empty() || stem.empty() || kind != ".weight") return {};
  const std::string number(expert);
  return {block + std::string(stem) + "_exps.weight[" + number + "]",
          block + std::string(stem) + "." + number + ".weight"};
}

std::vector<std::string> layer_names(std::string_view rest) {
  const std::string_view layer = take_number(rest);
  if (layer.empty()) return {};
  const std::string block = "blk." + std::string(layer) + ".";
  if (rest == "mlp.gate.e_score_correction_bias") return {block + "exp_probs_b.bias"};
  std::string_view expert = rest;
  if (take_prefix(expert, "mlp.experts.") || take_prefix(expert, "block_sparse_moe.experts.")) {
    if (auto names = expert_names(block, expert); !names.empty()) return names;
  }
  const std::string_view kind = take_kind(rest);
  const std::string_view stem = lookup(kLayerNames, rest);
  if (stem.empty() || kind.empty()) return {};
  return {block + std::string(stem) + std::string(kind)};
}

}  // namespace

std::vector<std::string> gguf_tensor_names(std::string_view name) {
  if (const std::string_view known = lookup(kModelNames, name); !known.empty()) {
    return {std::string(known)};
  }
  if (!take_prefix(name, "model.layers.")) return {};
  return layer_names(name);
}

}  // namespace bundle::format
