// One row of logits, summarized so that questions about its largest values look at few of them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bundle::engine {

/// True when no value is infinite or not a number.
bool all_finite(std::span<const float> values);

/// out[i] = exp((values[i] - max) · scale) within 3 units in the last place, 0 where that is under
/// e^-87. No value may be over max. Plain arithmetic that compiles to vector code, the same on
/// every machine.
void exp_below(std::span<const float> values, float max, float scale, float* out);

/// A view of one row that keeps the largest value of each run of 128. Values may be -inf (masked)
/// but not NaN or +inf. The order of tokens is by value, then by lower id. Not thread-safe.
class LogitRow {
 public:
  /// `values` must outlive the row's use, and not be empty.
  void assign(std::span<const float> values);

  std::span<const float> values() const { return values_; }
  float max() const { return max_; }
  std::int32_t argmax() const;

  /// The n first tokens in order (fewer when fewer are not masked).
  void top(std::size_t n, std::vector<std::int32_t>& ids) const;
  /// Tokens with values of at least `threshold` that are not masked, by id.
  void at_least(float threshold, std::vector<std::int32_t>& ids) const;
  /// Place of a token in the order; 1 is the first.
  std::int32_t rank(std::int32_t id) const;
  /// log(sum of exp) over the row, in double.
  double log_sum_exp() const;

 private:
  std::span<const float> values_;
  std::vector<float> run_max_;
  float max_ = 0.0f;
};

}  // namespace bundle::engine
