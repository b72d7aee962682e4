// A model on a device with a cache of its own, for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/format/checkpoint.h"
#include "runtime/model/model.h"
#include "runtime/model/placement.h"
#include "tests/golden/golden_weights.h"

namespace bundle::model {

/// A device under test and how far it may lie from float32 arithmetic.
struct TestDevice {
  std::string name;  // "reference", one of those below, or an ISA of make_cpu_device
  /// With weights in floating point: the difference of any logit of a golden model (they reach 6).
  /// 6e-2 where activations are rounded to bfloat16 before they are multiplied.
  float tolerance = 0.0f;
  /// With block-quantized weights: the same, as a part of the logits' range. Activations are then
  /// rounded to 15 bits in blocks.
  float quantized_tolerance = 0.0f;
  /// What of a golden model a slow device is asked: prompts of at most that many tokens (0: all),
  /// and that many steps after each.
  std::size_t most_tokens = 0;
  std::size_t most_steps = 1000;

  std::unique_ptr<kernels::Device> make(int threads = 2) const;
};

void PrintTo(const TestDevice& device, std::ostream* out);

/// The reference, and every ISA of this machine.
std::vector<TestDevice> test_devices();

/// The CUDA backend's host code and kernels, on the emulator.
inline constexpr const char* kEmulatedCuda = "cuda_emulated";
TestDevice emulated_cuda();
/// The same, with products of many rows on tensor cores: dense models' activations are rounded to
/// bfloat16 for those.
inline constexpr const char* kEmulatedTensorCores = "cuda_tensor_cores_emulated";
TestDevice emulated_tensor_cores(float tolerance);

/// The machine's first GPU, through libbundle_cuda.so: as it serves, and deterministic.
inline constexpr const char* kGpu = "gpu";
inline constexpr const char* kGpuDeterministic = "gpu_deterministic";

/// One checkpoint opened on one device. Throws BadResult when it cannot be: a test's failure.
class ModelRunner {
 public:
  /// A cache of `blocks` blocks of 16 tokens.
  ModelRunner(const Path& path, const TestDevice& device, DType kv_type = DType::kF32,
              std::int64_t blocks = 64, const LoadOptions& options = {});

  Model& model() { return *model_; }
  kernels::Device& device() { return *device_; }
  std::int64_t vocab_size() const { return model_->config().vocab_size; }

  /// Block table 0, 1, 2, …
  const std::vector<std::int32_t>& blocks() const { return blocks_; }

  /// Logits of the step, (rows, vocab_size).
  std::vector<float> step(std::span<const SequenceChunk> chunks);
  /// One chunk of the sequence in blocks(); logits for its last `rows` tokens.
  std::vector<float> run(std::span<const std::int32_t> tokens, std::int64_t position,
                         std::int64_t rows);

  /// What run() says of its tokens: those at positions below are a prompt's, the others generated.
  void set_prompt(std::int64_t tokens) { prompt_ = tokens; }

  /// Greedy continuation; the prompt is run in one step.
  std::vector<std::int32_t> greedy(std::vector<std::int32_t> prompt, std::size_t count);

 private:
  format::Checkpoint checkpoint_;
  std::unique_ptr<kernels::Device> device_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<kernels::KvCache> cache_;
  std::vector<std::int32_t> blocks_;
  std::int64_t prompt_ = 0;
};

/// One checkpoint on several ranks, a thread each, behind the same functions: what the first rank's
/// model is told to do, all of them do.
class TeamRunner {
 public:
  /// `worlds` has an end for each rank; empty: they share memory.
  TeamRunner(const Path& path, const TestDevice& device, const Parallel& parallel,
             DType kv_type = DType::kF32, std::int64_t blocks = 64, const LoadOptions& options = {},
             std::vector<std::unique_ptr<comm::Communicator>> worlds = {});
  TeamRunner(const TeamRunner&) = delete;
  TeamRunner& operator=(const TeamRunner&) = delete;
  ~TeamRunner();

  /// The first rank's, which leads.
  Model& model() { return *leader_; }
  kernels::KvCache& cache() { return *cache_; }
  const std::vector<std::int32_t>& blocks() const { return blocks_; }
  std::vector<float> step(std::span<const SequenceChunk> chunks);
  std::vector<float> run(std::span<const std::int32_t> tokens, std::int64_t position,
                         std::int64_t rows);
  void set_prompt(std::int64_t tokens) { prompt_ = tokens; }
  /// The attention group that runs what follows.
  void set_group(std::int64_t group) { group_ = group; }
  std::vector<std::int32_t> greedy(std::vector<std::int32_t> prompt, std::size_t count);

  /// Bytes of the checkpoint that each rank read.
  std::vector<std::uint64_t> weight_bytes() const;

 private:
  struct Rank;

  format::Checkpoint checkpoint_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::unique_ptr<Model> leader_;
  std::unique_ptr<kernels::KvCache> cache_;
  std::vector<std::thread> followers_;
  std::vector<std::int32_t> blocks_;
  std::int64_t prompt_ = 0;
  std::int64_t group_ = 0;
};

/// Where `row` is largest; the lower index on a tie.
std::int32_t argmax(std::span<const float> row);

/// Natural log-probability of `token`.
double log_probability(std::span<const float> row, std::int32_t token);

/// Largest |a - b|; infinity when sizes differ or a value is no number.
float largest_difference(std::span<const float> a, std::span<const float> b);

/// The description in tests/golden/<name>, or in $BUNDLE_GOLDEN/<name>: make_golden.py's output
/// with other seeds and shapes.
golden::Golden load_golden(const std::string& name);

}  // namespace bundle::model
