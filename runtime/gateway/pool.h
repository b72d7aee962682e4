// The replicas behind a gateway and which of them takes the next request: pure decisions, no
// socket.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::gateway {

/// One replica. Not copied while requests run: its address in the pool is its identity.
struct Backend {
  std::string host;
  std::uint16_t port = 80;
  int weight = 1;  // share of the traffic against other weights; a canary has a small one
  /// The revision it runs, or "". All replicas of one share its weight between them; those without
  /// have a weight each.
  std::string group;
  bool ready = false;
  bool full = false;   // it is not ready because its queue is full
  bool listed = true;  // still named by the configuration
  std::int64_t in_flight = 0;
  std::int64_t answers = 0;  // passed on from it, or begun to be
  bool checking = false;     // a probe is under way
  std::string address;       // "IP:PORT" that the last probe reached, IPv6 in brackets; or ""
  std::string progress;      // what it says of itself while it is not ready

  std::string name() const { return host + ":" + std::to_string(port); }
};

/// "http://HOST:PORT" or "HOST:PORT", and after a blank or '=' a weight from 0 to 1000.
/// kBadInput for another text.
Result<Backend> parse_backend(std::string_view text);

/// Whether a replica may be taken; empty: each may.
using Allowed = std::function<bool(const Backend&)>;

/// Not thread-safe.
class Pool {
 public:
  /// Takes these replicas as the ones there are: known ones stay with their state, others are
  /// added, and those that are gone get no further request.
  void update(const std::vector<Backend>& listed);

  /// The replica for a request with that prefix key, none of `tried` and `allowed`: first the
  /// shares decide between groups, or those of different weight where there are none, exactly over
  /// few requests; then the prefix's own replica takes it unless it has more than a quarter over
  /// its fair share in flight, else the one with the least in flight. Null when none is ready.
  Backend* pick(std::uint64_t prefix_key, const std::vector<Backend*>& tried,
                const Allowed& allowed = {});

  /// Who takes over from a picked replica that fails, in that order, `count` at most: those of its
  /// class first, the least loaded first. Changes no share.
  std::vector<Backend*> alternatives(const Backend& picked, std::size_t count,
                                     const Allowed& allowed = {});

  /// Whether pick() would find one, beside `except` if that is named. Changes no share.
  bool any_ready(const Backend* except = nullptr) const;
  /// Whether a replica turns requests away since its queue is full.
  bool any_full() const;
  /// The replica whose last probe reached that address, or null.
  Backend* find_address(std::string_view address);
  std::vector<Backend*> all();
  /// The furthest progress that a replica tells of, or "".
  std::string progress() const;

 private:
  std::vector<Backend*> candidates(const std::vector<Backend*>& tried, const Allowed& allowed);
  std::string choose_class(const std::vector<Backend*>& list);

  std::vector<std::unique_ptr<Backend>> backends_;
  std::map<std::string, double> credits_;  // of a class: smooth weighted round robin
};

/// A key that is equal for requests that begin alike: the first 1024 bytes of the conversation,
/// which hold the system prompt.
std::uint64_t prefix_key(std::string_view body);

}  // namespace bundle::gateway
