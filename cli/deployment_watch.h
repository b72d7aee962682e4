// A gateway's eye on a deployment: which replicas there are and how much traffic each revision
// gets, asked of the target again and again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cloud/provider.h"
#include "runtime/gateway/pool.h"

namespace bundle::cli {

/// How often a target is asked, and how long until every gateway has seen a change.
std::chrono::milliseconds watch_interval(const std::string& target);
std::chrono::milliseconds watch_settle(const std::string& target);

/// Asks on a thread of its own, since a target may be slow and a gateway must not be. Thread-safe.
class DeploymentWatch {
 public:
  /// The first look is taken here. kNotFound for no such deployment; kBadInput for one whose
  /// servers a gateway cannot speak to.
  static Result<std::unique_ptr<DeploymentWatch>> start(std::unique_ptr<cloud::Provider> provider,
                                                        std::string deployment,
                                                        std::chrono::milliseconds interval);
  ~DeploymentWatch();

  /// As last seen. A target that does not answer for a while changes nothing; a deployment that is
  /// gone has no replicas.
  std::vector<gateway::Backend> backends() const;

 private:
  DeploymentWatch(std::unique_ptr<cloud::Provider> provider, std::string deployment)
      : provider_(std::move(provider)), deployment_(std::move(deployment)) {}
  void run(std::chrono::milliseconds interval);
  void look();

  const std::unique_ptr<cloud::Provider> provider_;
  const std::string deployment_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::vector<gateway::Backend> seen_;
  std::string complaint_;  // of the last look; each is printed once
  std::thread thread_;
};

}  // namespace bundle::cli
