// What a supervisor and one engine process share: a ring each way, a bell each, the engine's
// counters and its heartbeat, in one piece of anonymous memory.
//
// A side that has nothing to do says so in the shared memory, looks once more, and sleeps on its
// bell (an eventfd). The other side rings only for a sleeper, so a busy pair makes no system call.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/file.h"
#include "base/result.h"
#include "runtime/engine/request.h"
#include "runtime/launch/ring.h"

namespace bundle::launch {

enum class Side { kSupervisor, kEngine };

/// Descriptors that make up a channel, to be inherited by the engine process.
struct ChannelFds {
  Fd memory;
  Fd supervisor_bell;
  Fd engine_bell;
};

struct ChannelMemory;  // channel.cc

/// One side's end. Its functions belong to one thread, but the engine's heartbeat and counters
/// may be read by any.
class Channel {
 public:
  /// A new channel, seen from the supervisor. `ring_bytes` is a power of two.
  static Result<Channel> create(std::size_t ring_bytes);
  /// The engine's end of one whose descriptors were inherited. kBadInput when the memory is no
  /// channel of this version.
  static Result<Channel> attach(ChannelFds fds);

  Channel(Channel&&) noexcept;
  Channel& operator=(Channel&&) noexcept;
  ~Channel();

  const ChannelFds& fds() const { return fds_; }

  /// As RingWriter's and RingReader's; both wake the other side when it sleeps.
  Result<std::size_t> write(Bytes bytes);
  Result<std::size_t> read(std::span<std::byte> out);

  /// Descriptor to poll for reading while asleep.
  int bell() const;
  /// Says that this side is about to sleep until it can go on with what it names. False when it can
  /// already. Between this and wake_up only poll.
  bool fall_asleep(bool wants_data, bool wants_room);
  /// Takes the bell's rings.
  void wake_up();

  /// The engine's pulse: beats once a step, and never while one runs.
  void beat();
  std::uint64_t heartbeat() const;
  void publish(const engine::EngineStats& stats);
  engine::EngineStats stats() const;

 private:
  Channel(ChannelFds fds, ChannelMemory* memory, std::size_t mapped, Side side);
  void wake_other();

  ChannelFds fds_;
  ChannelMemory* memory_ = nullptr;
  std::size_t mapped_ = 0;
  Side side_ = Side::kSupervisor;
  RingWriter writer_;
  RingReader reader_;
};

}  // namespace bundle::launch
