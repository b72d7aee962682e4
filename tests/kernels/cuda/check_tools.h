// Arrays in device memory, random values and the measure of errors, for op_checks.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/kernels/half.h"
#include "tests/kernels/cuda/op_checks.h"

namespace bundle::kernels::cuda {

/// Elements in device memory, freed with the object.
template <typename T>
class DeviceArray {
 public:
  DeviceArray(const Subject& subject, const std::vector<T>& values,
              MemoryKind kind = MemoryKind::kWork)
      : subject_(subject), count_(values.size()) {
    data_ = static_cast<T*>(subject.driver.allocate(std::max<std::size_t>(bytes(), 1), kind));
    subject.driver.copy_in(subject.stream, data_, values.data(), bytes());
    subject.driver.wait(subject.stream);
  }
  /// `count` elements that nothing has written: floats of these bytes are NaN.
  DeviceArray(const Subject& subject, std::size_t count) : subject_(subject), count_(count) {
    data_ = static_cast<T*>(
        subject.driver.allocate(std::max<std::size_t>(bytes(), 1), MemoryKind::kWork));
    subject.driver.fill(subject.stream, data_, 0xFF, bytes());
  }
  ~DeviceArray() { subject_.driver.free(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* get() const { return data_; }
  std::vector<T> read() const {
    std::vector<T> values(count_);
    subject_.driver.copy_out(subject_.stream, values.data(), data_, bytes());
    subject_.driver.wait(subject_.stream);
    return values;
  }

 private:
  std::size_t bytes() const { return count_ * sizeof(T); }

  const Subject& subject_;
  std::size_t count_;
  T* data_;
};

inline std::vector<float> random_values(std::size_t n, std::mt19937& random, float scale = 1.0f) {
  std::uniform_real_distribution<float> value(-scale, scale);
  std::vector<float> values(n);
  for (float& v : values) v = value(random);
  return values;
}

/// A result that nothing has written shows: no kernel's answer is NaN.
inline std::vector<float> unwritten(std::size_t n) {
  return std::vector<float>(n, std::numeric_limits<float>::quiet_NaN());
}

/// Stands for a result of which only that it is a number is asked: references of large shapes would
/// take minutes.
inline constexpr double kAnyNumber = std::numeric_limits<double>::quiet_NaN();

/// Of results that cost `each` multiplications, how many there are to one that is computed.
inline std::int64_t sampling_step(std::int64_t results, std::int64_t each) {
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  return 1 + results * each / kMost;
}

/// Largest |got − expected| / (1 + |expected|); infinity for what is no number.
inline double largest_error(const std::vector<float>& got, const std::vector<double>& expected) {
  double largest = got.size() == expected.size() ? 0.0 : std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
    if (std::isnan(expected[i]) && std::isfinite(got[i])) continue;
    const double error = std::abs(got[i] - expected[i]) / (1.0 + std::abs(expected[i]));
    if (!(error <= std::numeric_limits<double>::max())) {
      return std::numeric_limits<double>::infinity();
    }
    largest = std::max(largest, error);
  }
  return largest;
}

inline CheckResult result_of(const Subject& subject, std::string name, double error,
                             double tolerance) {
  const char* problem = subject.driver.status();
  return {std::move(name), error, tolerance, problem == nullptr ? "" : problem};
}

inline std::int64_t cache_element_bytes(CacheType type) {
  return type == CacheType::kF32 ? 4 : type == CacheType::kF8 ? 1 : 2;
}

/// What a cache makes of a value.
inline double as_cached(CacheType type, double value) {
  const auto rounded = static_cast<float>(value);
  switch (type) {
    case CacheType::kF32:
      break;
    case CacheType::kF16:
      return half_to_float(float_to_half(rounded));
    case CacheType::kBF16:
      return bf16_to_float(float_to_bf16(rounded));
    case CacheType::kF8:
      return f8e4m3_to_float(float_to_f8e4m3(rounded));
  }
  return value;
}

/// 0 when equal to the bit, else 1: for what must not depend on the batch.
inline double differs(const float* a, const float* b, std::size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0 ? 0.0 : 1.0;
}

}  // namespace bundle::kernels::cuda
