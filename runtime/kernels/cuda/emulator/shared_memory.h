// One block's shared memory, word by word: what was written, and by whom.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/kernels/cuda/emulator/accessor.h"

namespace bundle::kernels::cuda::emulator {

/// Accesses are of 4, 8 or 16 bytes. Not thread-safe.
class SharedMemory {
 public:
  /// Undefined content of `bytes` for a new block.
  void begin_block(std::size_t bytes);
  std::byte* data() { return memory_.data(); }

  /// Notes an access. False when it is none that a kernel may make; problem() says why then.
  bool read(std::size_t offset, std::size_t bytes, const Accessor& by) {
    if (!inside(offset, bytes)) return false;
    const Moment now(by);
    for (std::size_t at = offset; at < offset + bytes; at += kWord) {
      Word& w = word(at / kWord);
      if (!w.written || w.writer.unordered(now)) return refuse_read(w, by, at);
      w.read_by_many = w.read && (w.read_by_many || w.reader.thread() != now.thread()) &&
                       w.reader.barriers() == now.barriers();
      w.read = true;
      w.reader = now;
    }
    return true;
  }
  bool write(std::size_t offset, std::size_t bytes, const Accessor& by) {
    if (!inside(offset, bytes)) return false;
    const Moment now(by);
    for (std::size_t at = offset; at < offset + bytes; at += kWord) {
      Word& w = word(at / kWord);
      const bool after_read =
          w.read && (w.reader.unordered(now) || (w.read_by_many && w.reader.same_time(now)));
      if (after_read || (w.written && w.writer.unordered(now))) {
        return refuse_write(w, by, after_read, at);
      }
      w.written = true;
      w.read = w.read_by_many = false;
      w.writer = now;
    }
    return true;
  }
  const std::string& problem() const { return problem_; }
  /// Makes bytes undefined again: an asynchronous copy into them is under way.
  void spoil(std::size_t offset, std::size_t bytes);

 private:
  static constexpr std::size_t kWord = 4;

  /// An accessor of the block in one word, as words are looked at at every access.
  class Moment {
   public:
    Moment() = default;
    explicit Moment(const Accessor& by)
        : bits_(std::uint64_t{by.barriers} << 40 | std::uint64_t{by.warp_syncs & 0xFFFFFFu} << 16 |
                (by.thread & 0xFFFFu)) {}

    std::uint32_t thread() const { return bits_ & 0xFFFFu; }
    std::uint64_t barriers() const { return bits_ >> 40; }
    bool same_time(const Moment& other) const { return bits_ >> 16 == other.bits_ >> 16; }
    /// As of two accessors of one block.
    bool unordered(const Moment& other) const {
      if (thread() == other.thread() || barriers() != other.barriers()) return false;
      return thread() / kWarpSize != other.thread() / kWarpSize || same_time(other);
    }

   private:
    std::uint64_t bits_ = 0;
  };

  struct Word {
    Moment writer;
    Moment reader;            // the last
    std::uint32_t block = 0;  // serial number of the block that all else here belongs to
    bool written = false;
    bool read = false;
    bool read_by_many = false;  // since the last write and barrier
  };

  Word& word(std::size_t index) {
    Word& found = words_[index];
    if (found.block != serial_) found = {{}, {}, serial_, false, false, false};
    return found;
  }
  bool inside(std::size_t offset, std::size_t bytes) {
    const bool within = bytes <= size_ && offset <= size_ - bytes;
    return within && bytes >= kWord && offset % bytes == 0 ? true : refuse_place(offset, bytes);
  }
  bool refuse(std::string problem);
  bool refuse_place(std::size_t offset, std::size_t bytes);
  bool refuse_read(const Word& word, const Accessor& by, std::size_t at);
  bool refuse_write(const Word& word, const Accessor& by, bool after_read, std::size_t at);

  std::vector<std::byte> memory_;
  std::vector<Word> words_;
  std::size_t size_ = 0;
  std::uint32_t serial_ = 0;
  std::string problem_;
};

}  // namespace bundle::kernels::cuda::emulator
