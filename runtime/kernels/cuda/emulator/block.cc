#include "runtime/kernels/cuda/emulator/block.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <numeric>

namespace bundle::kernels::cuda::emulator {

constinit thread_local Machine* active = nullptr;

namespace {

/// More than fit a pattern of the kernels' own loops.
constexpr std::size_t kOrders = 61;

bool same_place(const std::source_location& a, const std::source_location& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

std::string outside_access(const GlobalMemory& memory, const void* address, std::size_t bytes) {
  return fmt::format("access of {} bytes outside of device memory, {}", bytes,
                     memory.describe(address));
}

}  // namespace

std::string Machine::place(const std::source_location& where) const {
  const std::string_view file = where.file_name();
  return fmt::format("{}:{}", file.substr(file.rfind('/') + 1), where.line());
}

void Machine::fault(std::string what, const std::source_location& where) {
  error_ = fmt::format("{}: {}: {} (block {},{},{} thread {})", name_, place(where), what, block_.x,
                       block_.y, block_.z, running_->accessor.thread);
  std::string().swap(what);  // nothing of this thread's stack is ever destroyed
  running_->fiber.yield();
  std::abort();  // a thread at fault is never resumed
}

void Machine::stop(State state, const char* what, const std::source_location& where) {
  running_->state = state;
  running_->what = what;
  running_->where = where;
  running_->fiber.yield();
}

void Machine::barrier(const std::source_location& where) {
  stop(State::kAtBarrier, "the block's barrier", where);
}

void Machine::warp_barrier(const std::source_location& where) {
  stop(State::kAtExchange, "the warp's barrier", where);
  ++running_->accessor.warp_syncs;
}

const Slots& Machine::exchange(const void* value, std::size_t bytes,
                               const std::source_location& where) {
  const unsigned thread = running_->accessor.thread;
  Warp& warp = warps_[thread / kWarpSize];
  Slots& slots = warp.slots[static_cast<std::size_t>(warp.current)];
  std::memcpy(slots[thread % kWarpSize].data(), value, bytes);
  stop(State::kAtExchange, "an exchange of the warp", where);
  return slots;
}

void Machine::fault_access(const Allocation* in, const void* address, std::size_t bytes,
                           const std::source_location& where) {
  const auto start = reinterpret_cast<std::uintptr_t>(address);
  if (in == nullptr || bytes > in->end - start) {
    fault(outside_access(memory_, address, bytes), where);
  }
  if (start % bytes != 0) fault(fmt::format("misaligned access of {} bytes", bytes), where);
  fault("memory of the kernel before is used without waiting for it", where);
}

void Machine::fault_race(const char* what, const Accessor& writer,
                         const std::source_location& where) {
  fault(fmt::format("{} what block {} thread {} writes in the same launch, unordered", what,
                    writer.block, writer.thread),
        where);
}

void Machine::write_global(void* address, std::size_t bytes, const std::source_location& where) {
  Allocation& in = access_global(address, bytes, where);
  const Accessor* writer = memory_.note_write(in, address, bytes, running_->accessor);
  if (writer != nullptr) fault_race("writes", *writer, where);
}

void Machine::copy_later(std::size_t offset, const void* from, const std::source_location& where) {
  read_global(from, 16, where);
  write_shared(offset, 16, where);
  shared_.spoil(offset, 16);
  if (running_->copies.empty()) running_->copies.emplace_back();
  running_->copies.back().push_back({offset, from});
}

void Machine::commit_copies() { running_->copies.emplace_back(); }

void Machine::wait_copies(int pending, const std::source_location& where) {
  auto& groups = running_->copies;
  // The last group is open; those before it are committed.
  while (static_cast<int>(groups.size()) - 1 > pending) {
    for (const Copy& copy : groups.front()) {
      std::memcpy(write_shared(copy.offset, 16, where), copy.from, 16);
    }
    groups.erase(groups.begin());
  }
}

void Machine::product_later(std::function<void()> product) {
  if (running_->products.empty()) running_->products.emplace_back();
  running_->products.back().push_back(std::move(product));
}

void Machine::commit_products() { running_->products.emplace_back(); }

void Machine::wait_products(int pending) {
  auto& groups = running_->products;
  while (static_cast<int>(groups.size()) - 1 > pending) {
    for (const auto& product : groups.front()) product();
    groups.erase(groups.begin());
  }
}

bool Machine::diverged(const Thread& a, const Thread& b) {
  error_ = fmt::format(
      "{}: threads diverge: thread {} {} while thread {} waits at {}, {} (block {},"
      "{},{})",
      name_, a.accessor.thread,
      a.state == State::kEnded ? std::string("has ended")
                               : fmt::format("waits at {}, {}", a.what, place(a.where)),
      b.accessor.thread, b.what, place(b.where), block_.x, block_.y, block_.z);
  return false;
}

/// Orders of lanes are drawn once: a draw at each exchange would take longer than the exchange.
void Machine::make_orders() {
  orders_.resize(kOrders);
  for (LaneOrder& order : orders_) {
    std::iota(order.begin(), order.end(), std::uint8_t{0});
    std::shuffle(order.begin(), order.end(), random_);
  }
}

/// Runs every ready thread of a warp until it waits or ends.
void Machine::run_warp(std::size_t warp) {
  next_order_ = next_order_ + 1 < kOrders ? next_order_ + 1 : 0;
  for (const std::uint8_t lane : orders_[next_order_]) {
    Thread& thread = *threads_[warp * kWarpSize + lane];
    if (thread.state != State::kReady) continue;
    running_ = &thread;
    thread.fiber.resume();
    if (!error_.empty()) return;
    if (thread.fiber.ended()) thread.state = State::kEnded;
  }
}

/// Lets a warp go on whose lanes all wait at one exchange. False when they do not.
bool Machine::meet(std::size_t warp) {
  const Thread& first = *threads_[warp * kWarpSize];
  for (std::size_t lane = 1; lane < kWarpSize; ++lane) {
    const Thread& other = *threads_[warp * kWarpSize + lane];
    const bool together = other.state == first.state &&
                          (first.state == State::kEnded || same_place(other.where, first.where));
    if (together) continue;
    return first.state == State::kEnded ? diverged(first, other) : diverged(other, first);
  }
  if (first.state != State::kAtExchange) return true;
  for (std::size_t lane = 0; lane < kWarpSize; ++lane) {
    threads_[warp * kWarpSize + lane]->state = State::kReady;
  }
  warps_[warp].current ^= 1;
  return true;
}

/// Runs a warp until its lanes wait at the block's barrier or have ended.
bool Machine::settle_warp(std::size_t warp) {
  const Thread& first = *threads_[warp * kWarpSize];
  while (first.state == State::kReady) {
    run_warp(warp);
    if (!error_.empty() || !meet(warp)) return false;
  }
  return true;
}

bool Machine::release_barrier() {
  const Thread& first = *threads_.front();
  for (std::size_t i = 1; i < shape_.threads; ++i) {
    const Thread& other = *threads_[i];
    const bool together = other.state == first.state &&
                          (first.state == State::kEnded || same_place(other.where, first.where));
    if (together) continue;
    return first.state == State::kEnded ? diverged(first, other) : diverged(other, first);
  }
  if (first.state == State::kEnded) return true;
  for (std::size_t i = 0; i < shape_.threads; ++i) {
    threads_[i]->state = State::kReady;
    ++threads_[i]->accessor.barriers;
  }
  return true;
}

bool Machine::run_block(const std::function<void()>& thread) {
  shared_.begin_block(shape_.shared_bytes);
  const std::uint32_t number = (block_.z * shape_.grid.y + block_.y) * shape_.grid.x + block_.x;
  for (unsigned i = 0; i < shape_.threads; ++i) {
    Thread& t = *threads_[i];
    t.accessor = {number, i, 0, 0};
    t.state = State::kReady;
    t.waited = false;
    t.copies.clear();
    t.products.clear();
    t.fiber.start(thread);
  }
  std::vector<std::size_t> order(shape_.threads / kWarpSize);
  std::iota(order.begin(), order.end(), std::size_t{0});
  while (threads_.front()->state != State::kEnded) {
    std::shuffle(order.begin(), order.end(), random_);
    for (const std::size_t warp : order) {
      if (!settle_warp(warp)) return false;
    }
    if (!release_barrier()) return false;
  }
  return true;
}

bool Machine::launch(const char* name, const LaunchShape& shape,
                     const std::function<void()>& thread) {
  if (!error_.empty()) return false;
  name_ = name;
  shape_ = shape;
  ++launches_;
  if (orders_.empty()) make_orders();
  memory_.begin_launch();
  while (threads_.size() < shape.threads) threads_.push_back(std::make_unique<Thread>());
  warps_.resize(std::max<std::size_t>(warps_.size(), shape.threads / kWarpSize));
  Machine* before = active;
  active = this;
  std::vector<std::uint32_t> order(std::size_t{shape.grid.x} * shape.grid.y * shape.grid.z);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), random_);
  for (const std::uint32_t block : order) {
    block_ = {block % shape.grid.x, block / shape.grid.x % shape.grid.y,
              block / shape.grid.x / shape.grid.y};
    if (!run_block(thread)) break;
  }
  active = before;
  return error_.empty();
}

}  // namespace bundle::kernels::cuda::emulator
