// Keeps a pool true: which replicas there are, and which of them are ready.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "runtime/gateway/pool.h"

namespace bundle::gateway {

struct WatchOptions {
  std::vector<Backend> backends = {};
  /// Asked once a second, on a thread of its own, for the replicas there are now; may be empty.
  std::function<std::vector<Backend>()> discover = {};
  std::chrono::milliseconds connect_timeout{3000};
};

/// All but the constructor and destructor belongs to the thread that runs the context. The context
/// must have stopped before this goes.
class ReplicaWatch {
 public:
  ReplicaWatch(boost::asio::io_context& context, WatchOptions options);
  ~ReplicaWatch();

  ReplicaWatch(const ReplicaWatch&) = delete;
  ReplicaWatch& operator=(const ReplicaWatch&) = delete;

  /// Once, before the context runs.
  void start();

  Pool& pool() { return pool_; }
  /// It is known which replicas there are, if any.
  bool listed() const { return listed_; }

 private:
  boost::asio::awaitable<void> probe_forever();
  boost::asio::awaitable<void> probe(Backend& backend);
  boost::asio::awaitable<std::string> ask_ready(Backend& backend);
  void probe_all();
  void discover_forever();

  boost::asio::io_context& context_;
  WatchOptions options_;
  Pool pool_;
  bool listed_ = false;

  std::mutex mutex_;
  std::condition_variable ends_;
  bool ending_ = false;
  std::thread discovery_;
};

}  // namespace bundle::gateway
