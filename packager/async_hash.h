// A SHA-256 on a thread of its own: the blob's hash runs beside the file's, on another core.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <queue>
#include <string>
#include <thread>

#include "base/sha256.h"

namespace bundle::packager {

/// Used by one thread.
class AsyncHash {
 public:
  AsyncHash() : worker_([this] { work(); }) {}
  AsyncHash(const AsyncHash&) = delete;
  AsyncHash& operator=(const AsyncHash&) = delete;
  ~AsyncHash() { stop(); }

  /// Takes the bytes in turn; they must stay as they are until wait_for says so.
  void push(Bytes bytes);
  /// Waits until the first `count` pieces are hashed.
  void wait_for(std::uint64_t count);
  /// Of everything that was pushed; nothing may be pushed after.
  std::string hex();

 private:
  void work();
  void stop();

  Sha256 hash_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::queue<Bytes> waiting_;
  std::uint64_t done_ = 0;
  bool ended_ = false;
  std::thread worker_;  // last: it uses the members above
};

}  // namespace bundle::packager
