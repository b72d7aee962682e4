// What GGUF calls the tensors that Hugging Face checkpoints name "model.layers.N.…".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bundle::format {

/// The GGUF names that the tensor may have, likeliest first: "blk.0.attn_q.weight" for
/// "model.layers.0.self_attn.q_proj.weight". One expert of a layer is a slice of the stacked
/// tensor ("blk.0.ffn_up_exps.weight[3]"), in old files a tensor of its own. Empty for a name that
/// has no counterpart. Beside published names, "self_attn.k_b_proj" and "v_b_proj" stand for the
/// halves into which newer GGUF files split DeepSeek's kv_b_proj, and "mlp.experts.up_proj" (no
/// number) for the stack.
std::vector<std::string> gguf_tensor_names(std::string_view name);

}  // namespace bundle::format
