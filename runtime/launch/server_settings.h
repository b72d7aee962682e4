// The `runtime.server` section: how requests are taken, and what autoscaling aims at.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "runtime/server/http_server.h"

namespace bundle::launch {

struct ServerSettings {
  server::ServerLimits limits = {};
  server::ScalingOptions scaling = {};
  server::WebhookOptions webhook = {};
  std::chrono::milliseconds request_timeout{0};
  std::string otlp_endpoint = {};
  bool page = true;
};

/// Every key is known and fits (read_runtime_settings checks that first). kBadInput for values that
/// contradict each other, and for addresses that are none.
Result<ServerSettings> read_server_settings(const JsonObject& section);

}  // namespace bundle::launch
