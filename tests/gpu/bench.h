// Timed work on a device, for scripts/gpu-suite. Like the checks (op_checks.h) it knows a driver
// and a table of operations alone.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/kernels/cuda/op_checks.h"

namespace bundle::kernels::cuda {

/// One line of the table.
struct Timing {
  std::string name;
  double microseconds = 0.0;  // median
  double bytes = 0.0;         // that must be read and written
  double tokens = 0.0;        // that one run yields; 0: it yields none
  double published_us = 0.0;  // the best published time for this on an H200; 0: none is known
  std::string problem;        // why it was not timed, or ""

  double gigabytes_a_second() const { return microseconds > 0 ? bytes / microseconds / 1e3 : 0.0; }
};

/// Median time of `work`, queued once a run, over `runs` runs after three that are not counted.
double median_microseconds(const Subject& subject, int runs, const std::function<void()>& work);

/// Device memory of one benchmark, freed together. Content: pseudo-random bytes that read as small
/// bfloat16, half and 8-bit numbers; never zeros, which are faster than real data.
class Pool {
 public:
  explicit Pool(const Subject& subject);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Null when memory does not suffice.
  void* take(std::size_t bytes, MemoryKind kind = MemoryKind::kWork);
  template <typename T>
  T* take_array(std::int64_t n, MemoryKind kind = MemoryKind::kWork) {
    return static_cast<T*>(take(static_cast<std::size_t>(n) * sizeof(T), kind));
  }
  template <typename T>
  T* place(const std::vector<T>& values) {
    T* data = take_array<T>(static_cast<std::int64_t>(values.size()));
    if (data != nullptr) {
      subject_.driver.copy_in(subject_.stream, data, values.data(), values.size() * sizeof(T));
      subject_.driver.wait(subject_.stream);
    }
    return data;
  }
  bool exhausted() const { return exhausted_; }

 private:
  const Subject& subject_;
  std::vector<void*> memory_;
  void* pattern_ = nullptr;
  bool exhausted_ = false;
};

/// A product of many tokens as the product's host code makes it: activations rounded to bfloat16.
/// `planes` holds (tokens, cols + kWideColumns) of them, `partial` 8 results.
void multiply_wide(const Subject& subject, const MatmulArgs& args, std::uint16_t* planes,
                   float* partial);

/// Bytes read and written by copying a large block, per second.
Timing bench_copy(const Subject& subject);
/// Products of few rows at the shapes of the distilled models, for each kind of weight.
std::vector<Timing> bench_products(const Subject& subject);
/// Attention of one token a sequence, at the shapes whose times are published.
std::vector<Timing> bench_attention(const Subject& subject);
/// Latent attention and routed experts of DeepSeek-R1, an eighth of each layer.
std::vector<Timing> bench_r1(const Subject& subject);
/// Choosing tokens of one row of logits, and of a large batch's.
std::vector<Timing> bench_choices(const Subject& subject);
/// Whole decode steps of the distilled models in a graph, with weights of their true sizes.
std::vector<Timing> bench_decode(const Subject& subject);

}  // namespace bundle::kernels::cuda
