#include "packager/async_hash.h"

namespace bundle::packager {

void AsyncHash::push(Bytes bytes) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push(bytes);
  }
  changed_.notify_all();
}

void AsyncHash::wait_for(std::uint64_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_ >= count; });
}

std::string AsyncHash::hex() {
  stop();
  return hash_.hex();
}

void AsyncHash::stop() {
  if (!worker_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

void AsyncHash::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ended_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const Bytes bytes = waiting_.front();
    waiting_.pop();
    lock.unlock();
    hash_.update(bytes);
    lock.lock();
    ++done_;
    changed_.notify_all();
  }
}

}  // namespace bundle::packager
