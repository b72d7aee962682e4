#include "runtime/kernels/reference/plain_arena.h"

#include <algorithm>

namespace bundle::kernels::reference {

void PlainArena::add_chunk(std::size_t size) {
  auto* data = static_cast<std::byte*>(::operator new(size, kAlignment));
  chunks_.push_back({std::unique_ptr<std::byte, Free>(data), size});
  used_ = 0;
}

void* PlainArena::take(std::size_t bytes) {
  constexpr std::size_t kMinChunk = std::size_t{1} << 20;
  const std::size_t rounded = (bytes + 63) / 64 * 64;
  if (chunks_.empty() || chunks_.back().size - used_ < rounded) {
    add_chunk(std::max(rounded, kMinChunk));
  }
  void* start = chunks_.back().data.get() + used_;
  used_ += rounded;
  return start;
}

void PlainArena::reset() {
  if (chunks_.size() > 1) {
    std::size_t total = 0;
    for (const Chunk& chunk : chunks_) total += chunk.size;
    chunks_.clear();
    add_chunk(total);
  }
  used_ = 0;
}

}  // namespace bundle::kernels::reference
