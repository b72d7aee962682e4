// Tells a URL when the server's load crosses a threshold, once each way.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"

namespace bundle::server {

/// 0 leaves a threshold out.
struct WebhookOptions {
  std::string url;          // "": no webhook
  double waiting = 0;       // requests in the queue
  double wait_seconds = 0;  // predicted for a newcomer
  double kv_usage = 0;      // of the cache, 0 to 1
  double idle_seconds = 0;  // without a request
};

struct WebhookSignals {
  double waiting = 0;
  double wait_seconds = 0;
  double kv_usage = 0;
  double idle_seconds = 0;
};

/// Posts from a thread of its own; what cannot be delivered in three attempts is dropped with a
/// warning in the log. look() from one thread.
class Webhook {
 public:
  explicit Webhook(WebhookOptions options);
  ~Webhook();

  /// Compares with the thresholds. `about` becomes part of each document: who speaks, and what
  /// /autoscale says. A signal is over from its threshold on, and under below nine tenths of it.
  void look(const WebhookSignals& signals, const JsonObject& about);

 private:
  struct Threshold {
    const char* name;
    double WebhookOptions::*limit;
    double WebhookSignals::*value;
  };
  static const Threshold kThresholds[];

  void loop();
  bool deliver(const std::string& document);

  const WebhookOptions options_;
  std::vector<bool> over_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> documents_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace bundle::server
