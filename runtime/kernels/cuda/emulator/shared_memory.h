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
  bool read(std::size_t offset, std::size_t bytes, const Accessor& by);
  bool write(std::size_t offset, std::size_t bytes, const Accessor& by);
  const std::string& problem() const { return problem_; }
  /// Makes bytes undefined again: an asynchronous copy into them is under way.
  void spoil(std::size_t offset, std::size_t bytes);

 private:
  struct Word {
    std::uint32_t block = 0;  // serial number of the block that all else here belongs to
    bool written = false;
    bool read = false;
    bool read_by_many = false;  // since the last write and barrier
    Accessor writer;
    Accessor reader;  // the last
  };

  Word& word(std::size_t index) {
    Word& found = words_[index];
    if (found.block != serial_) found = {serial_, false, false, false, {}, {}};
    return found;
  }
  bool inside(std::size_t offset, std::size_t bytes);
  bool refuse(std::string problem);

  std::vector<std::byte> memory_;
  std::vector<Word> words_;
  std::size_t size_ = 0;
  std::uint32_t serial_ = 0;
  std::string problem_;
};

}  // namespace bundle::kernels::cuda::emulator
