#include "runtime/model/placement.h"

#include <algorithm>
#include <string>

namespace bundle::model {
namespace {

std::string number(std::int64_t value) { return std::to_string(value); }

Status refuse(std::string what, const char* key, std::string remedy) {
  return Error{ErrorCode::kUsage, std::move(what), std::string("runtime.parallel.") + key,
               std::move(remedy)};
}

Status check_heads(const format::ModelConfig& config, std::int64_t ranks) {
  if (config.num_heads % ranks != 0) {
    return refuse(
        number(config.num_heads) + " heads do not divide over " + number(ranks) + " ranks",
        "tensor", "Choose a divisor of the number of heads.");
  }
  const std::int64_t kv = config.num_kv_heads;
  if (!config.mla && kv % ranks != 0 && ranks % kv != 0) {
    return refuse(number(kv) + " key/value heads do not divide over " + number(ranks) + " ranks",
                  "tensor", "Choose a divisor or a multiple of the number of key/value heads.");
  }
  return {};
}

Status check_experts(const format::ModelConfig& config, const Parallel& p) {
  if (!config.moe) {
    if (p.expert == 1) return {};
    return refuse("the model has no experts to spread", "expert", "Leave it out.");
  }
  const std::int64_t experts = config.moe->num_experts;
  if (experts % p.expert != 0) {
    return refuse(number(experts) + " experts do not divide over " + number(p.expert) + " ranks",
                  "expert", "Choose a divisor of the number of experts.");
  }
  const std::int64_t pieces = p.tensor / p.expert;
  const std::int64_t width = config.moe->intermediate_size;
  if (width % pieces == 0) return {};
  return refuse(
      "experts of width " + number(width) + " do not divide into " + number(pieces) + " pieces",
      "expert", "Spread experts over more of the tensor-parallel ranks.");
}

}  // namespace

Part part_of(std::int64_t total, std::int64_t unit, std::int64_t parts, std::int64_t index) {
  const std::int64_t units = total / unit + (total % unit != 0);
  const std::int64_t each = units / parts, longer = units % parts;
  const std::int64_t first = index * each + std::min(index, longer);
  const std::int64_t begin = std::min(total, first * unit);
  const std::int64_t end = std::min(total, (first + each + (index < longer ? 1 : 0)) * unit);
  return {begin, end - begin};
}

Part Placement::layers(const format::ModelConfig& config) const {
  return part_of(config.num_layers, 1, parallel.pipeline, stage());
}

Part Placement::heads(const format::ModelConfig& config) const {
  return part_of(config.num_heads, 1, attention_ranks(), attention_rank());
}

Part Placement::kv_heads(const format::ModelConfig& config) const {
  const std::int64_t heads = config.num_kv_heads;
  if (heads >= attention_ranks()) return part_of(heads, 1, attention_ranks(), attention_rank());
  return {attention_rank() * heads / attention_ranks(), 1};
}

Part Placement::experts(const format::ModelConfig& config) const {
  const std::int64_t pieces = parallel.tensor / parallel.expert;
  return part_of(config.moe->num_experts, 1, parallel.expert, lane() / pieces);
}

Part Placement::of_stage(std::int64_t total, std::int64_t unit) const {
  return part_of(total, unit, parallel.tensor, lane());
}

Part Placement::of_expert(std::int64_t total, std::int64_t unit) const {
  const std::int64_t pieces = parallel.tensor / parallel.expert;
  return part_of(total, unit, pieces, lane() % pieces);
}

Status check_numbers(const Parallel& p) {
  if (p.tensor < 1 || p.pipeline < 1 || p.expert < 1 || p.data < 1) {
    return refuse("every form of parallelism has 1 rank or more", "tensor", "");
  }
  if (p.tensor % p.expert != 0) {
    return refuse("experts over " + number(p.expert) + " of " + number(p.tensor) +
                      " tensor-parallel ranks do not divide them",
                  "expert", "Choose a divisor of runtime.parallel.tensor.");
  }
  if (p.tensor % p.data != 0) {
    return refuse("attention in " + number(p.data) + " groups of " + number(p.tensor) +
                      " tensor-parallel ranks does not divide them",
                  "data", "Choose a divisor of runtime.parallel.tensor.");
  }
  return {};
}

Status check_parallel(const format::ModelConfig& config, const Parallel& parallel) {
  BUNDLE_CHECK(check_numbers(parallel));
  BUNDLE_CHECK(check_heads(config, parallel.tensor / parallel.data));
  if (parallel.pipeline > config.num_layers) {
    return refuse(number(config.num_layers) + " layers do not divide into " +
                      number(parallel.pipeline) + " stages",
                  "pipeline", "Choose at most the number of layers.");
  }
  if (parallel.tensor > config.vocab_size) {
    return refuse("there are more ranks than tokens in the vocabulary", "tensor", "");
  }
  return check_experts(config, parallel);
}

}  // namespace bundle::model
