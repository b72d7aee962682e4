#include "runtime/kernels/cuda/emulator/shared_memory.h"

#include <cstring>
#include <fmt/format.h>

namespace bundle::kernels::cuda::emulator {
namespace {

std::string race(const char* what, std::uint32_t a, std::uint32_t b, std::size_t at) {
  return fmt::format(
      "{} shared memory at offset {}: threads {} and {}, and no barrier lies between", what, at, a,
      b);
}

}  // namespace

void SharedMemory::begin_block(std::size_t bytes) {
  if (memory_.size() < bytes) {
    memory_.resize(bytes);
    words_.resize(bytes / kWord + 1);
  }
  size_ = bytes;
  ++serial_;
  if (bytes > 0) std::memset(memory_.data(), 0xFF, bytes);
}

bool SharedMemory::refuse(std::string problem) {
  problem_ = std::move(problem);
  return false;
}

bool SharedMemory::refuse_place(std::size_t offset, std::size_t bytes) {
  if (bytes > size_ || offset > size_ - bytes) {
    return refuse(fmt::format("shared access of {} bytes at offset {} lies outside the block's {}",
                              bytes, offset, size_));
  }
  return refuse(
      fmt::format("shared access of {} bytes at offset {} is no aligned word", bytes, offset));
}

bool SharedMemory::refuse_read(const Word& word, const Accessor& by, std::size_t at) {
  if (!word.written) {
    return refuse(fmt::format("shared memory at offset {} is read before it is written", at));
  }
  return refuse(race("one writes and one reads", word.writer.thread(), by.thread, at));
}

bool SharedMemory::refuse_write(const Word& word, const Accessor& by, bool after_read,
                                std::size_t at) {
  if (after_read)
    return refuse(race("one reads and one writes", word.reader.thread(), by.thread, at));
  return refuse(race("both write", word.writer.thread(), by.thread, at));
}

void SharedMemory::spoil(std::size_t offset, std::size_t bytes) {
  for (std::size_t at = offset; at < offset + bytes && at < size_; at += kWord) {
    word(at / kWord).written = false;
  }
  std::memset(memory_.data() + offset, 0xFF, bytes);
}

}  // namespace bundle::kernels::cuda::emulator
