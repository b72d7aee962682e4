#include "runtime/kernels/cuda/emulator/shared_memory.h"

#include <cstring>
#include <fmt/format.h>

namespace bundle::kernels::cuda::emulator {
namespace {

constexpr std::size_t kWord = 4;

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

bool SharedMemory::inside(std::size_t offset, std::size_t bytes) {
  if (bytes > size_ || offset > size_ - bytes) {
    return refuse(fmt::format("shared access of {} bytes at offset {} lies outside the block's {}",
                              bytes, offset, size_));
  }
  if (bytes >= kWord && offset % bytes == 0) return true;
  return refuse(
      fmt::format("shared access of {} bytes at offset {} is no aligned word", bytes, offset));
}

bool SharedMemory::read(std::size_t offset, std::size_t bytes, const Accessor& by) {
  if (!inside(offset, bytes)) return false;
  for (std::size_t at = offset; at < offset + bytes; at += kWord) {
    Word& w = word(at / kWord);
    if (!w.written) {
      return refuse(fmt::format("shared memory at offset {} is read before it is written", at));
    }
    if (unordered(w.writer, by)) {
      return refuse(race("one writes and one reads", w.writer.thread, by.thread, at));
    }
    w.read_by_many = w.read && (w.read_by_many || w.reader.thread != by.thread) &&
                     w.reader.barriers == by.barriers;
    w.read = true;
    w.reader = by;
  }
  return true;
}

bool SharedMemory::write(std::size_t offset, std::size_t bytes, const Accessor& by) {
  if (!inside(offset, bytes)) return false;
  for (std::size_t at = offset; at < offset + bytes; at += kWord) {
    Word& w = word(at / kWord);
    const bool after_read =
        w.read && (unordered(w.reader, by) || (w.read_by_many && w.reader.barriers == by.barriers &&
                                               w.reader.warp_syncs == by.warp_syncs));
    if (after_read) return refuse(race("one reads and one writes", w.reader.thread, by.thread, at));
    if (w.written && unordered(w.writer, by)) {
      return refuse(race("both write", w.writer.thread, by.thread, at));
    }
    w.written = true;
    w.read = w.read_by_many = false;
    w.writer = by;
  }
  return true;
}

void SharedMemory::spoil(std::size_t offset, std::size_t bytes) {
  for (std::size_t at = offset; at < offset + bytes && at < size_; at += kWord) {
    word(at / kWord).written = false;
  }
  std::memset(memory_.data() + offset, 0xFF, bytes);
}

}  // namespace bundle::kernels::cuda::emulator
