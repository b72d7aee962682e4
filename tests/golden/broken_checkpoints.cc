#include "tests/golden/broken_checkpoints.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "base/json.h"

namespace bundle::golden {
namespace {

constexpr const char* kExpert = "model.layers.1.mlp.experts.5.up_proj.weight";
constexpr const char* kShard = "model-00001-of-00001.safetensors";

/// Puts `now` in place of every `was` of the configuration, where there must be one.
void edit(Golden& golden, std::string_view was, std::string_view now) {
  std::string& text = golden.config_json;
  std::size_t at = text.find(was);
  if (at == std::string::npos) throw std::out_of_range(std::string(was));
  for (; at != std::string::npos; at = text.find(was, at + now.size()))
    text.replace(at, was.size(), now);
}

TensorSpec& tensor(Golden& golden, std::string_view name) {
  for (TensorSpec& spec : golden.tensors)
    if (spec.name == name) return spec;
  throw std::out_of_range(std::string(name));
}

void leave_out(Golden& golden, const std::string& name) {
  std::erase_if(golden.tensors, [&](const TensorSpec& spec) { return spec.name == name; });
}

void same(std::vector<std::string>& /*tensors*/) {}

Status write_index(std::vector<std::string> tensors, const BrokenCheckpoint& broken,
                   const Path& folder) {
  broken.index(tensors);
  JsonObject map;
  for (const std::string& name : tensors) map[name] = kShard;
  BUNDLE_CHECK(write_file_atomic(folder / "model.safetensors.index.json",
                                 print_json(JsonObject{{"weight_map", std::move(map)}})));
  std::filesystem::rename(folder / "model.safetensors", folder / kShard);
  return {};
}

}  // namespace

const std::vector<BrokenCheckpoint>& broken_checkpoints() {
  static const std::vector<BrokenCheckpoint> all = {
      {"WiderThanItsTensors", "qwen3_moe", "model.embed_tokens.weight",
       [](Golden& g) { edit(g, "\"hidden_size\": 128", "\"hidden_size\": 256"); }},
      {"MoreExpertsThanItHas", "deepseek_v3_fp8", ".mlp.gate.weight",
       [](Golden& g) { edit(g, "\"n_routed_experts\": 16", "\"n_routed_experts\": 32"); }},
      {"AnExpertIsNowhere", "qwen3_moe", kExpert, [](Golden& g) { leave_out(g, kExpert); }, same},
      {"AnExpertIsMissingFromTheIndex", "qwen3_moe", kExpert, [](Golden&) {},
       [](std::vector<std::string>& tensors) { std::erase(tensors, kExpert); }},
      {"AnExpertIsInTheIndexAlone", "qwen3_moe", kExpert, [](Golden& g) { leave_out(g, kExpert); },
       [](std::vector<std::string>& tensors) { tensors.emplace_back(kExpert); }},
      {"ScalesOfAnotherShape", "deepseek_v3_fp8",
       "model.layers.2.mlp.experts.3.down_proj.weight_scale_inv",
       [](Golden& g) {
         tensor(g, "model.layers.2.mlp.experts.3.down_proj.weight_scale_inv").shape = {1, 2};
       }},
      {"NoScales", "deepseek_v3_fp8", "model.layers.1.self_attn.o_proj.weight_scale_inv",
       [](Golden& g) { leave_out(g, "model.layers.1.self_attn.o_proj.weight_scale_inv"); }},
      {"UnknownRopeScaling", "deepseek_v3_fp8", "'longrope'",
       [](Golden& g) { edit(g, "\"yarn\"", "\"longrope\""); }},
      {"UnknownQuantization", "deepseek_v3_fp8", "'gptq'",
       [](Golden& g) { edit(g, "\"fp8\"", "\"gptq\""); }},
      {"QuantizationInOtherBlocks", "deepseek_v3_fp8", "128x128",
       [](Golden& g) { edit(g, "      128,\n", "      64,\n"); }},
      {"UnknownRouting", "deepseek_v3_fp8", "'lottery'",
       [](Golden& g) { edit(g, "\"noaux_tc\"", "\"lottery\""); }},
  };
  return all;
}

Status write_broken_checkpoint(const BrokenCheckpoint& broken, const Path& goldens,
                               const Path& folder) {
  BUNDLE_TRY(Golden golden, read_golden(goldens / broken.golden));
  broken.change(golden);
  BUNDLE_TRY(const std::string digest, write_checkpoint(golden, folder));
  if (broken.index == nullptr) return {};
  std::vector<std::string> names;
  for (const TensorSpec& spec : golden.tensors) names.push_back(spec.name);
  return write_index(std::move(names), broken, folder);
}

}  // namespace bundle::golden
