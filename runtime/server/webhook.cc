#include "runtime/server/webhook.h"

#include <chrono>
#include <ctime>
#include <iterator>

#include "base/log.h"
#include "runtime/server/post.h"

namespace bundle::server {
namespace {

constexpr double kCalm = 0.9;            // of a threshold: below it the signal is under again
constexpr std::size_t kMostQueued = 64;  // documents that wait for a slow receiver
constexpr int kAttempts = 3;
constexpr auto kTimeout = std::chrono::seconds(3);
constexpr auto kPause = std::chrono::seconds(1);

}  // namespace

const Webhook::Threshold Webhook::kThresholds[] = {
    {"waiting", &WebhookOptions::waiting, &WebhookSignals::waiting},
    {"wait_seconds", &WebhookOptions::wait_seconds, &WebhookSignals::wait_seconds},
    {"kv_usage", &WebhookOptions::kv_usage, &WebhookSignals::kv_usage},
    {"idle_seconds", &WebhookOptions::idle_seconds, &WebhookSignals::idle_seconds},
};

Webhook::Webhook(WebhookOptions options)
    : options_(std::move(options)), over_(std::size(kThresholds), false) {
  if (!options_.url.empty()) thread_ = std::thread([this] { loop(); });
}

Webhook::~Webhook() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Webhook::look(const WebhookSignals& signals, const JsonObject& about) {
  if (options_.url.empty()) return;
  for (std::size_t i = 0; i < std::size(kThresholds); ++i) {
    const double limit = options_.*kThresholds[i].limit;
    const double value = signals.*kThresholds[i].value;
    if (limit <= 0) continue;
    const bool over = value >= (over_[i] ? kCalm * limit : limit);
    if (over == over_[i]) continue;
    over_[i] = over;
    JsonObject document{{"event", over ? "threshold_crossed" : "threshold_cleared"},
                        {"signal", kThresholds[i].name},
                        {"value", value},
                        {"threshold", limit},
                        {"time", std::time(nullptr)}};
    for (const auto& [key, member] : about) document[key] = member;
    const std::lock_guard lock(mutex_);
    if (documents_.size() < kMostQueued) documents_.push_back(print_json(document));
    changed_.notify_all();
  }
}

void Webhook::loop() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    changed_.wait(lock, [this] { return stop_ || !documents_.empty(); });
    if (stop_) return;
    const std::string document = documents_.front();
    documents_.pop_front();
    bool delivered = false;
    for (int attempt = 0; attempt < kAttempts && !delivered && !stop_; ++attempt) {
      if (attempt > 0) changed_.wait_for(lock, kPause, [this] { return stop_; });
      lock.unlock();
      delivered = deliver(document);
      lock.lock();
    }
    if (!delivered) log_warning("a document for the webhook could not be delivered");
  }
}

bool Webhook::deliver(const std::string& document) {
  const auto status = post_json(options_.url, document, kTimeout);
  return status && *status / 100 == 2;
}

}  // namespace bundle::server
