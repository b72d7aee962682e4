// The endpoint picker of Gateway API's inference extension: Envoy asks it, by its external
// processing protocol over gRPC, which replica takes a request, and carries the bytes itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "base/result.h"
#include "runtime/gateway/replica_watch.h"
#include "runtime/gateway/waiting_room.h"

namespace bundle::gateway::picker {

struct PickerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;            // 0: any free one
  std::size_t endpoints = 1;         // named in an answer, at least 1: ExchangeOptions
  std::chrono::seconds hold{600};    // how long a request waits for a replica
  std::chrono::seconds startup{60};  // of a replica, for Retry-After
};

/// Belongs to the thread that runs the context. Replicas and waiting room are shared with whoever
/// else sends requests there, and outlive it.
class Picker {
 public:
  /// Listens. kUnreachable when the address is taken.
  static Result<std::unique_ptr<Picker>> start(boost::asio::io_context& context,
                                               ReplicaWatch& replicas, WaitingRoom& room,
                                               PickerOptions options);
  ~Picker();

  std::uint16_t port() const;
  /// Requests whose answer is not whole yet.
  std::size_t running() const;
  /// Health checks fail from now on, and no further request is taken.
  void begin_drain();

 private:
  class Impl;
  explicit Picker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bundle::gateway::picker
