#include "tests/golden/broken_checkpoints.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "base/json.h"

namespace bundle::golden {
namespace {

constexpr const char* kExpert = "model.layers.1.mlp.experts.5.up_proj.weight";
constexpr const char* kPredictingExpert = "model.layers.4.mlp.experts.5.up_proj.weight";
constexpr const char* kJoin = "model.layers.4.eh_proj.weight";
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
      {"APredictionLayerLacksAnExpert", "deepseek_v3_mtp", kPredictingExpert,
       [](Golden& g) { leave_out(g, kPredictingExpert); }},
      {"APredictionLayerLacksANorm", "deepseek_v3_mtp", "model.layers.4.enorm.weight",
       [](Golden& g) { leave_out(g, "model.layers.4.enorm.weight"); }},
      {"APredictionLayerIsNotJoined", "deepseek_v3_mtp", kJoin,
       [](Golden& g) { leave_out(g, kJoin); }},
      {"APredictionLayerIsJoinedOtherwise", "deepseek_v3_mtp", kJoin,
       [](Golden& g) {
         auto& shape = tensor(g, kJoin).shape;
         std::swap(shape[0], shape[1]);
       }},
      {"AMatrixOfATypeWithoutKernels", "qwen3_moe",
       "'model.layers.1.self_attn.o_proj.weight' has "
       "type F8_E5M2",
       [](Golden& g) {
         tensor(g, "model.layers.1.self_attn.o_proj.weight").type = DType::kF8E5M2;
       }},
      {"AnExpertOfIntegers", "qwen3_moe", std::string(kExpert) + "' has type I64",
       [](Golden& g) { tensor(g, kExpert).type = DType::kI64; }},
      {"ANormOfIntegers", "qwen3_moe", "'model.norm.weight' has type I32",
       [](Golden& g) { tensor(g, "model.norm.weight").type = DType::kI32; }},
      {"AnExpertOfAnotherType", "qwen3_moe", kExpert,
       [](Golden& g) { tensor(g, kExpert).type = DType::kF32; }},
      {"AHeadBesideATiedEmbedding", "llama_tied", "'lm_head.weight' is not",
       [](Golden& g) {
         TensorSpec head = tensor(g, "model.embed_tokens.weight");
         head.name = "lm_head.weight";
         g.tensors.push_back(std::move(head));
       }},
      {"ABiasThatIsDenied", "llama3_rope", "'model.layers.1.self_attn.o_proj.bias'",
       [](Golden& g) {
         TensorSpec bias = tensor(g, "model.norm.weight");
         bias.name = "model.layers.1.self_attn.o_proj.bias";
         g.tensors.push_back(std::move(bias));
       }},
      {"Llama3RopeWithoutItsContext", "llama3_rope", "lack 'original_max_position_embeddings'",
       [](Golden& g) { edit(g, "    \"original_max_position_embeddings\": 256,\n", ""); }},
      {"FloatsOfAnotherForm", "deepseek_v3_fp8", "'e5m2'",
       [](Golden& g) { edit(g, "\"fmt\": \"e4m3\"", "\"fmt\": \"e5m2\""); }},
      {"AScaleBeyondFloats", "deepseek_v3_fp8", "'routed_scaling_factor' is 1e+300",
       [](Golden& g) {
         edit(g, "\"routed_scaling_factor\": 2.5", "\"routed_scaling_factor\": 1e300");
       }},
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
