#include "runtime/kernels/cuda/host/cuda_arena.h"

#include <algorithm>

namespace bundle::kernels::cuda {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kLeastChunk = std::size_t{4} << 20;

}  // namespace

bool CudaArena::add_chunk(std::size_t bytes) {
  auto chunk = DeviceBuffer::make(driver_, bytes, MemoryKind::kWork, "a step's activations");
  if (chunk.has_error()) {
    if (problem_) problem_ = std::move(chunk).error();
    return false;
  }
  chunks_.push_back(*std::move(chunk));
  used_ = 0;
  ++changes_;
  return true;
}

void* CudaArena::take(std::size_t bytes) {
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (chunks_.empty() || chunks_.back().bytes() - used_ < rounded) {
    if (!add_chunk(std::max(rounded, kLeastChunk))) return nullptr;
  }
  void* start = chunks_.back().data() + used_;
  used_ += rounded;
  return start;
}

void CudaArena::reset() {
  if (chunks_.size() > 1) {
    std::size_t total = 0;
    for (const DeviceBuffer& chunk : chunks_) total += chunk.bytes();
    chunks_.clear();
    add_chunk(total);
  }
  used_ = 0;
}

}  // namespace bundle::kernels::cuda
