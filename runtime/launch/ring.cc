#include "runtime/launch/ring.h"

#include <algorithm>
#include <cstring>

namespace bundle::launch {
namespace {

// Counters are stored and loaded in one total order: whoever goes to sleep says so before it looks
// at them a last time, and whoever moves them looks for sleepers after (Channel).
constexpr auto kOrder = std::memory_order_seq_cst;

Error lying_counter() { return failed("the other side's ring counter is impossible"); }

}  // namespace

Result<std::size_t> RingWriter::write(Bytes bytes) {
  const std::uint64_t used = written_ - counters_->read.load(kOrder);
  if (used > buffer_.size()) return lying_counter();
  const std::size_t n = std::min<std::size_t>(bytes.size(), buffer_.size() - used);
  if (n == 0) return n;
  const std::size_t at = written_ & (buffer_.size() - 1);
  const std::size_t first = std::min(n, buffer_.size() - at);
  std::memcpy(buffer_.data() + at, bytes.data(), first);
  std::memcpy(buffer_.data(), bytes.data() + first, n - first);
  written_ += n;
  counters_->written.store(written_, kOrder);
  return n;
}

bool RingWriter::full() const { return written_ - counters_->read.load(kOrder) >= buffer_.size(); }

Result<std::size_t> RingReader::read(std::span<std::byte> out) {
  const std::uint64_t there = counters_->written.load(kOrder) - read_;
  if (there > buffer_.size()) return lying_counter();
  const std::size_t n = std::min<std::size_t>(out.size(), there);
  if (n == 0) return n;
  const std::size_t at = read_ & (buffer_.size() - 1);
  const std::size_t first = std::min(n, buffer_.size() - at);
  std::memcpy(out.data(), buffer_.data() + at, first);
  std::memcpy(out.data() + first, buffer_.data(), n - first);
  read_ += n;
  counters_->read.store(read_, kOrder);
  return n;
}

bool RingReader::empty() const { return counters_->written.load(kOrder) == read_; }

}  // namespace bundle::launch
