// How one copy of a model is divided over ranks, and what each of them has of it.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "runtime/format/model_config.h"

namespace bundle::model {

/// `tensor` ranks share every layer, and `pipeline` such stages share the layers. Among the ranks
/// of a stage, experts are spread over `expert` of them (each expert is cut into tensor / expert
/// pieces), and attention runs `data` times on different sequences, each on tensor / data ranks.
/// As sizing::Layout, which plans it.
struct Parallel {
  std::int64_t tensor = 1;
  std::int64_t pipeline = 1;
  std::int64_t expert = 1;
  std::int64_t data = 1;

  std::int64_t ranks() const { return tensor * pipeline; }
  bool operator==(const Parallel&) const = default;
};

/// Elements first … first + count - 1 of a row of them; all where count is -1.
struct Part {
  std::int64_t first = 0;
  std::int64_t count = -1;

  bool all_of(std::int64_t total) const { return count < 0 || (first == 0 && count == total); }
  std::int64_t size(std::int64_t total) const { return count < 0 ? total : count; }
  /// The same of things that have `each` elements.
  Part times(std::int64_t each) const { return {first * each, count * each}; }
  bool operator==(const Part&) const = default;
};

/// Part `index` of `parts` of `total` elements, cut at multiples of `unit` alone: the first parts
/// get a unit more where they do not divide, and the last may get none.
Part part_of(std::int64_t total, std::int64_t unit, std::int64_t parts, std::int64_t index);

/// One rank's place.
struct Placement {
  Parallel parallel;
  std::int64_t rank = 0;

  std::int64_t stage() const { return rank / parallel.tensor; }
  bool first_stage() const { return stage() == 0; }
  bool last_stage() const { return stage() + 1 == parallel.pipeline; }
  /// The rank's number in its stage.
  std::int64_t lane() const { return rank % parallel.tensor; }

  /// Ranks that share one sequence's attention, this rank's number among them, and the number of
  /// their group: each has sequences of its own.
  std::int64_t attention_ranks() const { return parallel.tensor / parallel.data; }
  std::int64_t attention_rank() const { return lane() % attention_ranks(); }
  std::int64_t group() const { return lane() / attention_ranks(); }

  /// This rank's layers, query heads, key/value heads and experts.
  Part layers(const format::ModelConfig& config) const;
  Part heads(const format::ModelConfig& config) const;
  /// Where there are more ranks than key/value heads, several have the same one.
  Part kv_heads(const format::ModelConfig& config) const;
  Part experts(const format::ModelConfig& config) const;
  /// Of a matrix that all ranks of a stage share, of a sequence's attention, of an expert.
  Part of_stage(std::int64_t total, std::int64_t unit = 1) const;
  Part of_expert(std::int64_t total, std::int64_t unit = 1) const;
};

/// What can be said of such numbers without a model: kUsage where they do not divide each other.
Status check_numbers(const Parallel& parallel);

/// kUsage, naming the setting and the numbers, where the model does not divide that way.
Status check_parallel(const format::ModelConfig& config, const Parallel& parallel);

}  // namespace bundle::model
