#include "runtime/sizing/layout.h"

#include <algorithm>

namespace bundle::sizing {
namespace {

Status refuse(std::string what) {
  return Error{ErrorCode::kUsage, std::move(what), "", "Choose another layout."};
}

Status check_expert_ranks(const format::MoeConfig& moe, const Layout& layout) {
  const std::int64_t pieces = layout.tp / layout.ep;
  if (moe.intermediate_size % pieces != 0) {
    return refuse("experts of width " + std::to_string(moe.intermediate_size) +
                  " do not divide into " + std::to_string(pieces) + " pieces");
  }
  if (layout.ep > moe.num_experts) {
    return refuse("there are fewer experts than " + std::to_string(layout.ep) + " ranks");
  }
  return {};
}

}  // namespace

std::string layout_text(const Layout& layout) {
  std::string text = "TP" + std::to_string(layout.tp);
  if (layout.pp > 1) text += " PP" + std::to_string(layout.pp);
  if (layout.ep > 1) text += " EP" + std::to_string(layout.ep);
  if (layout.dp > 1) text += " DP" + std::to_string(layout.dp);
  return text;
}

Status check_layout(const ModelShape& shape, const Layout& layout) {
  if (layout.tp < 1 || layout.pp < 1 || layout.ep < 1 || layout.dp < 1 ||
      layout.tp % layout.ep != 0 || layout.tp % layout.dp != 0) {
    return refuse(layout_text(layout) + ": EP and DP must divide TP");
  }
  const std::int64_t ranks = layout.attention_ranks();
  if (shape.config.num_heads % ranks != 0) {
    return refuse(std::to_string(shape.config.num_heads) + " heads do not divide over " +
                  std::to_string(ranks) + " ranks");
  }
  const std::int64_t kv = shape.config.num_kv_heads;
  if (!shape.config.mla && kv % ranks != 0 && ranks % kv != 0) {
    return refuse(std::to_string(kv) + " key/value heads do not divide over " +
                  std::to_string(ranks) + " ranks");
  }
  if (layout.pp > shape.config.num_layers) return refuse("there are more stages than layers");
  if (shape.config.moe) return check_expert_ranks(*shape.config.moe, layout);
  if (layout.ep > 1) return refuse("the model has no experts to spread");
  return {};
}

LayerRange stage_layers(std::int64_t layers, std::int64_t stages, std::int64_t stage) {
  const std::int64_t each = layers / stages;
  const std::int64_t longer = layers % stages;
  return {stage * each + std::min(stage, longer), each + (stage < longer ? 1 : 0)};
}

}  // namespace bundle::sizing
