// One rank's end of the shared memory: a ring of bytes to each other rank, and a bell to sleep on.
#pragma once

#include <memory>

#include "base/file.h"
#include "runtime/comm/endpoint.h"
#include "runtime/comm/shared_layout.h"

namespace bundle::comm {

class SharedEndpoint final : public Endpoint {
 public:
  /// As join_shared_memory.
  static Result<std::unique_ptr<SharedEndpoint>> join(const Fd& memory, int rank,
                                                      std::chrono::milliseconds patience);
  ~SharedEndpoint() override;

 private:
  SharedEndpoint(Fd file, std::byte* memory, SharedLayout layout, std::size_t rank,
                 std::chrono::milliseconds patience);

  SharedHead& head() const { return *reinterpret_cast<SharedHead*>(memory_); }
  SharedRank& place(std::size_t rank) const;
  SharedRing& ring(std::size_t from, std::size_t to) const;
  std::byte* buffer(std::size_t from, std::size_t to) const;
  void ring_bell(std::size_t rank) const;

  Result<std::size_t> write(std::size_t to, Bytes bytes) override;
  Result<bool> hand_over(std::size_t) override { return true; }
  Result<std::size_t> read(std::size_t from, std::span<std::byte> bytes) override;
  bool has_come(std::size_t from) override;
  bool gone(std::size_t rank) override;
  std::uint32_t look() override { return place(own()).bell.load(); }
  void nap(std::uint32_t seen) override;
  void tell(const Error& why) override;
  std::optional<Error> told() override;

  Fd file_;  // of this rank alone: it holds the rank's lock
  std::byte* memory_ = nullptr;
  SharedLayout layout_;
  bool spins_ = false;
};

}  // namespace bundle::comm
