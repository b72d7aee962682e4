// Work done in a child process whose system calls are meddled with: it is killed on the way, or one
// of its calls fails. Calls are counted from 1, those of the child's first thread.
#pragma once

#include <cstdint>
#include <functional>

namespace bundle::packager {

/// Runs `work` in a child and kills it before its n-th call that changes a file. False when it
/// ended before.
bool killed_at(int n, const std::function<void()>& work);

enum class Fault {
  kNoSpace,     // a call that changes a file fails with ENOSPC
  kIoError,     // the same with EIO
  kReadError,   // a call that reads a file fails with EIO
  kShortWrite,  // a write takes half of its bytes, one at least
};

/// What became of work whose n-th call met the fault.
struct Outcome {
  bool was_met = false;  // false: it made fewer such calls
  bool succeeded = false;
  bool crashed = false;  // by a signal
};
Outcome outcome_with(Fault fault, int n, const std::function<bool()>& work);

/// Runs `work` in a child whose files cannot grow past `bytes`; its exit status, 0 or 1 as `work`
/// says.
int exit_with_full_disk(std::uint64_t bytes, const std::function<bool()>& work);

}  // namespace bundle::packager
