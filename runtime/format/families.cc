#include "runtime/format/families.h"

#include <algorithm>
#include <iterator>

#include "runtime/format/model_config.h"

namespace bundle::format {
namespace {

constexpr Family kFamilies[] = {
    {.architecture = "LlamaForCausalLM", .model_type = "llama", .bias = Bias::kByKey},
    {.architecture = "MistralForCausalLM",
     .model_type = "mistral",
     .sliding = Sliding::kUnlessNull},
    {.architecture = "Qwen2ForCausalLM",
     .model_type = "qwen2",
     .bias = Bias::kAlways,
     .sliding = Sliding::kOnSwitch},
    {.architecture = "Qwen3ForCausalLM",
     .model_type = "qwen3",
     .head_dim = 128,
     .bias = Bias::kByKey,
     .sliding = Sliding::kOnSwitch,
     .qk_norm = true},
    {.architecture = "Qwen3MoeForCausalLM",
     .model_type = "qwen3_moe",
     .bias = Bias::kByKey,
     .sliding = Sliding::kAllOnSwitch,
     .experts = Experts::kQwen,
     .qk_norm = true},
    {.architecture = "MixtralForCausalLM",
     .model_type = "mixtral",
     .rope_theta = 1e6,
     .rms_norm_eps = 1e-5,
     .sliding = Sliding::kWhenGiven,
     .experts = Experts::kMixtral},
    {.architecture = "DeepseekV2ForCausalLM",
     .model_type = "deepseek_v2",
     .bias = Bias::kByKey,
     .experts = Experts::kDeepseek,
     .mla = true},
    {.architecture = "DeepseekV3ForCausalLM",
     .model_type = "deepseek_v3",
     .bias = Bias::kByKey,
     .experts = Experts::kDeepseek,
     .mla = true,
     .sigmoid_routing = true},
};

template <typename Match>
const Family* find_family(Match match) {
  const auto* at = std::find_if(std::begin(kFamilies), std::end(kFamilies), match);
  return at == std::end(kFamilies) ? nullptr : at;
}

}  // namespace

const Family* family_of_architecture(std::string_view architecture) {
  return find_family([&](const Family& family) { return family.architecture == architecture; });
}

const Family* family_of_model_type(std::string_view model_type) {
  return find_family([&](const Family& family) { return family.model_type == model_type; });
}

const std::vector<std::string>& known_architectures() {
  static const auto names = [] {
    std::vector<std::string> list;
    for (const Family& family : kFamilies) list.emplace_back(family.architecture);
    return list;
  }();
  return names;
}

}  // namespace bundle::format
