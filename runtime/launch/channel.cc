#include "runtime/launch/channel.h"

#include <bit>
#include <fcntl.h>
#include <new>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace bundle::launch {
namespace {

constexpr std::uint64_t kMagic = 0x314C4E4843444E42;  // "BNDCHNL1"
constexpr std::size_t kLeastRing = 4096;
constexpr std::size_t kMostRing = 1u << 30;
constexpr std::size_t kStats = 16;
constexpr auto kOrder = std::memory_order_seq_cst;

std::array<std::int64_t, kStats> flatten(const engine::EngineStats& s) {
  return {
      s.running,        s.waiting,          s.kv_blocks_total, s.kv_blocks_used, s.kv_block_tokens,
      s.prompt_tokens,  s.generated_tokens, s.prefix_queries,  s.prefix_hits,    s.preemptions,
      s.steps,          s.max_context,      s.max_sequences,   s.drafts,         s.draft_tokens,
      s.accepted_tokens};
}

engine::EngineStats unflatten(const std::array<std::int64_t, kStats>& v) {
  return {v[0], v[1], v[2],  v[3],  v[4],  v[5],  v[6],  v[7],
          v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15]};
}

}  // namespace

struct ChannelMemory {
  std::uint64_t magic = kMagic;
  std::uint64_t ring_bytes = 0;
  alignas(64) std::array<std::atomic<std::uint32_t>, 2> asleep{};  // by Side
  RingCounters to_engine;
  RingCounters to_supervisor;
  alignas(64) std::atomic<std::uint64_t> heartbeat{0};
  std::array<std::atomic<std::int64_t>, kStats> stats{};
  // The rings' bytes follow: to the engine, then to the supervisor.
};

namespace {

std::span<std::byte> ring_of(ChannelMemory* memory, std::size_t index, std::size_t bytes) {
  return {reinterpret_cast<std::byte*>(memory + 1) + index * bytes, bytes};
}

std::size_t total_bytes(std::size_t ring_bytes) { return sizeof(ChannelMemory) + 2 * ring_bytes; }

Result<void*> map(const Fd& memory, std::size_t bytes) {
  void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (base == MAP_FAILED) return system_error("cannot map the engine's channel");
  return base;
}

Result<Fd> make_bell() {
  Fd bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell) return system_error("cannot make an eventfd");
  return bell;
}

void ring(const Fd& bell) {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the sleeper wakes anyway.
  [[maybe_unused]] const auto ignored = ::write(bell.get(), &one, sizeof(one));
}

}  // namespace

Channel::Channel(ChannelFds fds, ChannelMemory* memory, std::size_t mapped, Side side)
    : fds_(std::move(fds)),
      memory_(memory),
      mapped_(mapped),
      side_(side),
      writer_(
          side == Side::kSupervisor ? memory->to_engine : memory->to_supervisor,
          ring_of(memory, side == Side::kSupervisor ? 0 : 1, (mapped - sizeof(ChannelMemory)) / 2)),
      reader_(side == Side::kSupervisor ? memory->to_supervisor : memory->to_engine,
              ring_of(memory, side == Side::kSupervisor ? 1 : 0,
                      (mapped - sizeof(ChannelMemory)) / 2)) {}

Channel::Channel(Channel&& other) noexcept
    : fds_(std::move(other.fds_)),
      memory_(std::exchange(other.memory_, nullptr)),
      mapped_(other.mapped_),
      side_(other.side_),
      writer_(other.writer_),
      reader_(other.reader_) {}

Channel& Channel::operator=(Channel&& other) noexcept {
  std::swap(fds_, other.fds_);
  std::swap(memory_, other.memory_);
  std::swap(mapped_, other.mapped_);
  std::swap(side_, other.side_);
  std::swap(writer_, other.writer_);
  std::swap(reader_, other.reader_);
  return *this;
}

Channel::~Channel() {
  if (memory_ != nullptr) ::munmap(memory_, mapped_);
}

Result<Channel> Channel::create(std::size_t ring_bytes) {
  ChannelFds fds;
  fds.memory = Fd(::memfd_create("bundle-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const std::size_t bytes = total_bytes(ring_bytes);
  // Sealed, so that neither side can cut it short under the other's map.
  if (!fds.memory || ::ftruncate(fds.memory.get(), static_cast<off_t>(bytes)) != 0 ||
      ::fcntl(fds.memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return system_error("cannot make shared memory for the engine");
  }
  BUNDLE_TRY(fds.supervisor_bell, make_bell());
  BUNDLE_TRY(fds.engine_bell, make_bell());
  BUNDLE_TRY(void* base, map(fds.memory, bytes));
  auto* memory = new (base) ChannelMemory;
  memory->ring_bytes = ring_bytes;
  return Channel(std::move(fds), memory, bytes, Side::kSupervisor);
}

Result<Channel> Channel::attach(ChannelFds fds) {
  struct stat info {};
  if (::fstat(fds.memory.get(), &info) != 0) return system_error("cannot see the engine's channel");
  const auto bytes = static_cast<std::uint64_t>(info.st_size);
  if (bytes < total_bytes(kLeastRing)) return bad_input("the engine's channel is too small");
  BUNDLE_TRY(void* base, map(fds.memory, bytes));
  auto* memory = static_cast<ChannelMemory*>(base);
  const std::uint64_t ring_bytes = memory->ring_bytes;
  if (memory->magic != kMagic || !std::has_single_bit(ring_bytes) || ring_bytes > kMostRing ||
      total_bytes(ring_bytes) != bytes) {
    ::munmap(base, bytes);
    return bad_input("the engine's channel is not of this version");
  }
  return Channel(std::move(fds), memory, bytes, Side::kEngine);
}

Result<std::size_t> Channel::write(Bytes bytes) {
  BUNDLE_TRY(const std::size_t n, writer_.write(bytes));
  if (n > 0) wake_other();
  return n;
}

Result<std::size_t> Channel::read(std::span<std::byte> out) {
  BUNDLE_TRY(const std::size_t n, reader_.read(out));
  if (n > 0) wake_other();
  return n;
}

void Channel::wake_other() {
  const Side other = side_ == Side::kEngine ? Side::kSupervisor : Side::kEngine;
  auto& asleep = memory_->asleep[static_cast<std::size_t>(other)];
  if (asleep.load(kOrder) == 0 || asleep.exchange(0, kOrder) == 0) return;
  ring(other == Side::kEngine ? fds_.engine_bell : fds_.supervisor_bell);
}

int Channel::bell() const {
  return (side_ == Side::kEngine ? fds_.engine_bell : fds_.supervisor_bell).get();
}

bool Channel::fall_asleep(bool wants_data, bool wants_room) {
  auto& asleep = memory_->asleep[static_cast<std::size_t>(side_)];
  asleep.store(1, kOrder);
  const bool can_go_on = (wants_data && !reader_.empty()) || (wants_room && !writer_.full());
  if (!can_go_on) return true;
  asleep.store(0, kOrder);
  return false;
}

void Channel::wake_up() {
  memory_->asleep[static_cast<std::size_t>(side_)].store(0, kOrder);
  std::uint64_t rings = 0;
  [[maybe_unused]] const auto ignored = ::read(bell(), &rings, sizeof(rings));
}

void Channel::beat() { memory_->heartbeat.fetch_add(1, std::memory_order_relaxed); }

std::uint64_t Channel::heartbeat() const {
  return memory_->heartbeat.load(std::memory_order_relaxed);
}

void Channel::publish(const engine::EngineStats& stats) {
  const auto values = flatten(stats);
  for (std::size_t i = 0; i < kStats; ++i) {
    memory_->stats[i].store(values[i], std::memory_order_relaxed);
  }
}

engine::EngineStats Channel::stats() const {
  std::array<std::int64_t, kStats> values{};
  for (std::size_t i = 0; i < kStats; ++i) {
    values[i] = memory_->stats[i].load(std::memory_order_relaxed);
  }
  return unflatten(values);
}

}  // namespace bundle::launch
