#include "runtime/kernels/cuda/emulator/fiber.h"

#include <cstdint>
#include <cstdlib>
#include <new>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Saves what the System V ABI asks a function to keep, stores the stack pointer at *save, and goes
// on from the stack `load`.
extern "C" void bundle_emulator_switch(void** save, void* load);

asm(R"(
.text
.globl bundle_emulator_switch
.hidden bundle_emulator_switch
.type bundle_emulator_switch, @function
bundle_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size bundle_emulator_switch, . - bundle_emulator_switch
)");

namespace bundle::kernels::cuda::emulator {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr std::size_t kStackBytes = std::size_t{256} << 10;
#else
constexpr std::size_t kStackBytes = std::size_t{64} << 10;
#endif
constexpr std::size_t kGuardBytes = 4096;

/// The fiber that start() prepared last and resume() enters: a new stack has no arguments.
thread_local Fiber* entering = nullptr;

}  // namespace

Fiber::Fiber() {
  void* mapped = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  mprotect(mapped, kGuardBytes, PROT_NONE);  // an overflow faults instead of spoiling a neighbour
  stack_ = static_cast<std::byte*>(mapped);
}

Fiber::~Fiber() { munmap(stack_, kGuardBytes + kStackBytes); }

void Fiber::start(const std::function<void()>& body) {
  body_ = &body;
  ended_ = false;
  own_fake_ = nullptr;
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(stack_ + kGuardBytes, kStackBytes);
#endif
  // As bundle_emulator_switch leaves a stack: six registers, then where to return to. At entry of a
  // function the stack pointer is 8 below a multiple of 16.
  auto* top = reinterpret_cast<void**>(stack_ + kGuardBytes + kStackBytes) - 2;
  *top = reinterpret_cast<void*>(+[] { enter(entering); });
  own_ = static_cast<void*>(top - 6);
}

void Fiber::enter(Fiber* self) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &self->caller_bottom_, &self->caller_size_);
#endif
  (*self->body_)();
  self->ended_ = true;
  self->switch_out(true);
  std::abort();  // an ended fiber is never resumed
}

void Fiber::switch_in() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&caller_fake_, stack_ + kGuardBytes, kStackBytes);
#endif
  bundle_emulator_switch(&caller_, own_);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(caller_fake_, nullptr, nullptr);
#endif
}

void Fiber::switch_out([[maybe_unused]] bool last) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(last ? nullptr : &own_fake_, caller_bottom_, caller_size_);
#endif
  bundle_emulator_switch(&own_, caller_);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(own_fake_, &caller_bottom_, &caller_size_);
#endif
}

void Fiber::resume() {
  entering = this;
  switch_in();
}

void Fiber::yield() { switch_out(false); }

}  // namespace bundle::kernels::cuda::emulator
