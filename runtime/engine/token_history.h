// Which tokens a sequence has seen, and how often it said them: what penalties read.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>

namespace bundle::engine {

/// Counts of distinct tokens. Not thread-safe.
class TokenHistory {
 public:
  void add_prompt(std::span<const std::int32_t> tokens) {
    for (const std::int32_t token : tokens) outputs_.try_emplace(token, 0);
  }
  void add_output(std::int32_t token) { ++outputs_[token]; }

  /// Every token seen, with how often it is among the outputs (0: in the prompt only).
  const std::unordered_map<std::int32_t, std::int32_t>& outputs() const { return outputs_; }

 private:
  std::unordered_map<std::int32_t, std::int32_t> outputs_;
};

}  // namespace bundle::engine
