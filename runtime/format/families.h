// The families of models that we know, and what transformers assumes of each where config.json is
// silent.
#pragma once

#include <cstdint>
#include <string_view>

namespace bundle::format {

/// When a sliding attention window applies.
enum class Sliding : std::uint8_t {
  kNever,        // the key is ignored
  kWhenGiven,    // Mixtral
  kUnlessNull,   // Mistral: 4096 when the key is absent
  kAllOnSwitch,  // Qwen3Moe: every layer, when use_sliding_window is set
  kOnSwitch,     // Qwen2, Qwen3: layers from max_window_layers on, when use_sliding_window is set
};

/// Which keys describe a mixture of experts.
enum class Experts : std::uint8_t { kNone, kMixtral, kQwen, kDeepseek };

/// Biases of the q, k and v projections.
enum class Bias : std::uint8_t { kNever, kAlways, kByKey };

struct Family {
  std::string_view architecture;
  std::string_view model_type;
  double rope_theta = 10000.0;
  double rms_norm_eps = 1e-6;
  std::int64_t head_dim = 0;  // 0: hidden size / heads
  Bias bias = Bias::kNever;
  Sliding sliding = Sliding::kNever;
  Experts experts = Experts::kNone;
  bool qk_norm = false;
  bool mla = false;
  bool sigmoid_routing = false;  // DeepSeek-V3 where scoring_func and topk_method are absent
};

/// Null when there is none.
const Family* family_of_architecture(std::string_view architecture);
const Family* family_of_model_type(std::string_view model_type);

}  // namespace bundle::format
