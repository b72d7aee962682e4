#include "runtime/launch/server_settings.h"

#include "runtime/server/web_address.h"

namespace bundle::launch {
namespace {

/// Reads what is there; the rest keeps its default.
class Section {
 public:
  explicit Section(const JsonObject& section) : section_(section) {}

  template <typename T>
  void number(std::string_view key, T& target) const {
    if (const Json* value = find(key)) target = value->to_number<T>();
  }
  void text(std::string_view key, std::string& target) const {
    if (const Json* value = find(key)) target = std::string(value->get_string());
  }
  void boolean(std::string_view key, bool& target) const {
    if (const Json* value = find(key)) target = value->get_bool();
  }
  void seconds(std::string_view key, std::chrono::milliseconds& target) const {
    double value = 0;
    number(key, value);
    if (value > 0) target = std::chrono::milliseconds(static_cast<std::int64_t>(value * 1000));
  }

 private:
  const Json* find(std::string_view key) const {
    const Json* value = section_.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  const JsonObject& section_;
};

Status check_address(const std::string& key, const std::string& address) {
  if (address.empty()) return {};
  const auto parsed = server::parse_web_address(address);
  if (parsed) return {};
  Error error = parsed.error();
  error.where = "runtime.server." + key;
  return error;
}

Status check(const ServerSettings& settings) {
  if (settings.scaling.min_replicas > settings.scaling.max_replicas) {
    return bad_input("min_replicas is over max_replicas", "runtime.server");
  }
  BUNDLE_CHECK(check_address("otlp_endpoint", settings.otlp_endpoint));
  return check_address("webhook_url", settings.webhook.url);
}

}  // namespace

Result<ServerSettings> read_server_settings(const JsonObject& object) {
  const Section section(object);
  ServerSettings out;
  section.number("max_queued_requests", out.limits.queued_requests);
  section.number("max_connections", out.limits.connections);
  section.number("max_body_bytes", out.limits.body_bytes);
  section.seconds("request_timeout_seconds", out.request_timeout);
  section.number("target_concurrency", out.scaling.target_concurrency);
  section.number("target_ttft_seconds", out.scaling.target_ttft_seconds);
  section.number("idle_seconds", out.scaling.idle_seconds);
  section.number("min_replicas", out.scaling.min_replicas);
  section.number("max_replicas", out.scaling.max_replicas);
  section.boolean("page", out.page);
  section.text("otlp_endpoint", out.otlp_endpoint);
  section.text("webhook_url", out.webhook.url);
  section.number("webhook_waiting", out.webhook.waiting);
  section.number("webhook_wait_seconds", out.webhook.wait_seconds);
  section.number("webhook_kv_usage", out.webhook.kv_usage);
  section.number("webhook_idle_seconds", out.webhook.idle_seconds);
  BUNDLE_CHECK(check(out));
  return out;
}

}  // namespace bundle::launch
