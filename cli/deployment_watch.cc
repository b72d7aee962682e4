#include "cli/deployment_watch.h"

#include <cstdio>

#include "cloud/canary.h"

namespace bundle::cli {
namespace {

using std::chrono::milliseconds;

Result<std::vector<gateway::Backend>> look_at(const cloud::Provider& provider,
                                              const std::string& deployment) {
  BUNDLE_TRY(const auto endpoints, cloud::weighted_endpoints(provider, deployment));
  std::vector<gateway::Backend> backends;
  for (const cloud::WeightedEndpoint& endpoint : endpoints) {
    BUNDLE_TRY(gateway::Backend backend, gateway::parse_backend(endpoint.url));
    backend.weight = endpoint.weight;
    backend.group = endpoint.revision;
    backends.push_back(std::move(backend));
  }
  return backends;
}

}  // namespace

milliseconds watch_interval(const std::string& target) {
  return milliseconds(target == "local" ? 500 : 3000);
}

milliseconds watch_settle(const std::string& target) {
  // The gateway itself takes what was seen once a second.
  return 2 * watch_interval(target) + milliseconds(1500);
}

Result<std::unique_ptr<DeploymentWatch>> DeploymentWatch::start(
    std::unique_ptr<cloud::Provider> provider, std::string deployment, milliseconds interval) {
  std::unique_ptr<DeploymentWatch> watch(
      new DeploymentWatch(std::move(provider), std::move(deployment)));
  BUNDLE_TRY(watch->seen_, look_at(*watch->provider_, watch->deployment_));
  watch->thread_ = std::thread([self = watch.get(), interval] { self->run(interval); });
  return watch;
}

DeploymentWatch::~DeploymentWatch() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::vector<gateway::Backend> DeploymentWatch::backends() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

void DeploymentWatch::run(milliseconds interval) {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, interval, [this] { return stop_; })) {
    lock.unlock();
    look();
    lock.lock();
  }
}

void DeploymentWatch::look() {
  auto found = look_at(*provider_, deployment_);
  const std::string complaint = found ? "" : found.error().message();
  if (!complaint.empty() && complaint != complaint_) {
    std::fprintf(stderr, "deployment '%s': %s\n", deployment_.c_str(), complaint.c_str());
  }
  complaint_ = complaint;
  const std::lock_guard lock(mutex_);
  if (found) {
    seen_ = *std::move(found);
  } else if (found.error().code == ErrorCode::kNotFound) {
    seen_.clear();
  }
}

}  // namespace bundle::cli
