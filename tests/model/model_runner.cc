#include "tests/model/model_runner.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "runtime/comm/shared_memory.h"
#include "runtime/kernels/cpu_device.h"
#include "runtime/kernels/cuda/cuda_device.h"
#include "runtime/kernels/cuda/emulator/emulated_collectives.h"
#include "runtime/kernels/cuda/emulator/emulated_driver.h"
#include "runtime/kernels/cuda/load_backend.h"
#include "runtime/model/leader.h"

namespace bundle::model {

std::unique_ptr<kernels::Device> TestDevice::make(int threads) const {
  if (name == "reference") return kernels::make_reference_device();
  if (name == kEmulatedCuda || name == kEmulatedTensorCores) {
    return kernels::cuda::make_device(kernels::cuda::make_emulated_driver(), kernels::cuda::kOps,
                                      {.deterministic = name == kEmulatedCuda},
                                      &kernels::cuda::kEmulatedCollectives)
        .value();
  }
  if (name == kGpu || name == kGpuDeterministic) {
    return kernels::cuda::make_cuda_device(0, {.deterministic = name == kGpuDeterministic}).value();
  }
  return kernels::make_cpu_device({.threads = threads, .isa = name}).value();
}

void PrintTo(const TestDevice& device, std::ostream* out) { *out << device.name; }

std::vector<TestDevice> test_devices() {
  std::vector<TestDevice> devices = {{"reference", 1e-4f, 1e-5f}};
  for (const std::string& isa : kernels::available_isas()) {
    devices.push_back({isa, isa == "avx512bf16" ? 6e-2f : 1e-4f, 5e-4f});
  }
  return devices;
}

TestDevice emulated_cuda() { return {kEmulatedCuda, 1e-4f, 5e-4f, 40, 8}; }
TestDevice emulated_tensor_cores(float tolerance) {
  return {kEmulatedTensorCores, tolerance, 5e-4f, 40, 2};
}

namespace {

format::Checkpoint open(const Path& path) {
  return format::Checkpoint::open(format::ModelSource::open(path).value()).value();
}

}  // namespace

ModelRunner::ModelRunner(const Path& path, const TestDevice& device, DType kv_type,
                         std::int64_t blocks, const LoadOptions& options)
    : checkpoint_(open(path)),
      device_(device.make()),
      model_(load_model(checkpoint_, *device_, {}, options).value()),
      cache_(device_->make_kv_cache(model_->kv_shape(kv_type, 16), blocks).value()),
      blocks_(static_cast<std::size_t>(blocks)) {
  std::iota(blocks_.begin(), blocks_.end(), 0);
}

std::vector<float> ModelRunner::step(std::span<const SequenceChunk> chunks) {
  std::vector<float> logits;
  model_->forward(chunks, *cache_, logits);
  return logits;
}

std::vector<float> ModelRunner::run(std::span<const std::int32_t> tokens, std::int64_t position,
                                    std::int64_t rows) {
  const SequenceChunk chunk{tokens, position, blocks_, rows, prompt_};
  return step({&chunk, 1});
}

std::vector<std::int32_t> ModelRunner::greedy(std::vector<std::int32_t> prompt, std::size_t count) {
  std::vector<std::int32_t> output;
  std::int64_t position = 0;
  set_prompt(static_cast<std::int64_t>(prompt.size()));
  while (output.size() < count) {
    const std::int32_t next = argmax(run(prompt, position, 1));
    position += static_cast<std::int64_t>(prompt.size());
    output.push_back(next);
    prompt = {next};
  }
  return output;
}

struct TeamRunner::Rank {
  std::unique_ptr<kernels::Device> device;
  std::unique_ptr<Team> team;
  std::unique_ptr<Model> model;
};

namespace {

std::vector<std::unique_ptr<comm::Communicator>> share_memory(int ranks) {
  const Fd memory = comm::make_shared_memory(ranks).value();
  std::vector<std::unique_ptr<comm::Communicator>> worlds;
  for (int r = 0; r < ranks; ++r) worlds.push_back(comm::join_shared_memory(memory, r).value());
  return worlds;
}

}  // namespace

TeamRunner::TeamRunner(const Path& path, const TestDevice& device, const Parallel& parallel,
                       DType kv_type, std::int64_t blocks, const LoadOptions& options,
                       std::vector<std::unique_ptr<comm::Communicator>> worlds)
    : checkpoint_(open(path)), blocks_(static_cast<std::size_t>(blocks)) {
  std::iota(blocks_.begin(), blocks_.end(), 0);
  if (worlds.empty()) worlds = share_memory(static_cast<int>(parallel.ranks()));
  for (auto& world : worlds) {
    auto rank = std::make_unique<Rank>();
    rank->device = device.make(1);
    rank->team = Team::make(std::move(world), parallel, *rank->device).value();
    LoadOptions own = options;
    own.team = rank->team.get();
    rank->model = load_model(checkpoint_, *rank->device, {}, own).value();
    ranks_.push_back(std::move(rank));
  }
  for (std::size_t r = 1; r < ranks_.size(); ++r) {
    followers_.emplace_back(
        [rank = ranks_[r].get()] { (void)follow(*rank->model, *rank->device, *rank->team); });
  }
  Rank& first = *ranks_.front();
  leader_ = lead(std::move(first.model), *first.team).value();
  leader_->set_drafting(options.draft);
  cache_ = first.device->make_kv_cache(leader_->kv_shape(kv_type, 16), blocks).value();
  leader_->prepare(*cache_).value();
}

TeamRunner::~TeamRunner() {
  leader_.reset();
  for (std::thread& follower : followers_) follower.join();
}

std::vector<float> TeamRunner::step(std::span<const SequenceChunk> chunks) {
  std::vector<float> logits;
  leader_->forward(chunks, *cache_, logits);
  leader_->health().value();
  return logits;
}

std::vector<float> TeamRunner::run(std::span<const std::int32_t> tokens, std::int64_t position,
                                   std::int64_t rows) {
  const SequenceChunk chunk{tokens, position, blocks_, rows, prompt_, false, group_};
  return step({&chunk, 1});
}

std::vector<std::int32_t> TeamRunner::greedy(std::vector<std::int32_t> prompt, std::size_t count) {
  std::vector<std::int32_t> output;
  std::int64_t position = 0;
  set_prompt(static_cast<std::int64_t>(prompt.size()));
  while (output.size() < count) {
    output.push_back(argmax(run(prompt, position, 1)));
    position += static_cast<std::int64_t>(prompt.size());
    prompt = {output.back()};
  }
  return output;
}

std::vector<std::uint64_t> TeamRunner::weight_bytes() const {
  std::vector<std::uint64_t> bytes = {leader_->weight_bytes()};
  for (std::size_t r = 1; r < ranks_.size(); ++r) bytes.push_back(ranks_[r]->model->weight_bytes());
  return bytes;
}

std::int32_t argmax(std::span<const float> row) {
  return static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

double log_probability(std::span<const float> row, std::int32_t token) {
  const float top = *std::max_element(row.begin(), row.end());
  double sum = 0.0;
  for (const float value : row) sum += std::exp(static_cast<double>(value - top));
  return static_cast<double>(row[static_cast<std::size_t>(token)] - top) - std::log(sum);
}

float largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::numeric_limits<float>::infinity();
  float largest = 0.0f;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float difference = std::abs(a[i] - b[i]);
    if (!(difference <= std::numeric_limits<float>::max())) return difference;
    largest = std::max(largest, difference);
  }
  return largest;
}

golden::Golden load_golden(const std::string& name) {
  const char* elsewhere = std::getenv("BUNDLE_GOLDEN");
  const Path folder = elsewhere != nullptr ? elsewhere : BUNDLE_SOURCE_DIR "/tests/golden";
  return golden::read_golden(folder / name).value();
}

}  // namespace bundle::model
