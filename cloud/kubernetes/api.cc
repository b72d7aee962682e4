#include "cloud/kubernetes/api.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <thread>

#include <boost/json/object.hpp>

namespace bundle::cloud {
namespace {

/// As RFC 3339 has it.
std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

constexpr char kFieldManager[] = "bundle";

std::string message_of(const HttpResponse& response) {
  const auto document = parse_json(response.body, "answer");
  if (document) {
    const auto message = get_string_or(*document, "message", "", "answer");
    if (message && !message->empty()) return *message;
  }
  return response.body.substr(0, 300);
}

constexpr int kAttempts = 5;

/// What the server asks for, at most ten seconds; else half a second, doubled each time.
std::chrono::milliseconds pause_before(int attempt, const HttpResponse& response) {
  const std::string_view asked = response.header("retry-after");
  int seconds = 0;
  const auto [end, error] = std::from_chars(asked.data(), asked.data() + asked.size(), seconds);
  if (error == std::errc() && seconds > 0) return std::chrono::seconds(std::min(seconds, 10));
  return std::chrono::milliseconds(250 << attempt);
}

Error refusal(const HttpRequest& request, const HttpResponse& response) {
  Error error{
      ErrorCode::kFailed,
      "the cluster answered " + std::to_string(response.status) + ": " + message_of(response),
      request.url, ""};
  if (response.status == 404) error.code = ErrorCode::kNotFound;
  if (response.status == 429 || response.status >= 500) {
    error.code = ErrorCode::kUnreachable;
    error.remedy = "The API server is overloaded or not well; the same command again goes on.";
  }
  if (response.status >= 300 && response.status < 400) {
    error.code = ErrorCode::kUnreachable;
    error.remedy =
        "It leads elsewhere, which no API server does. Is the kubeconfig's server right?";
  }
  if (response.status == 401 || response.status == 403) {
    error.code = ErrorCode::kUnreachable;
    error.remedy = "May this user do that? 'kubectl auth can-i' tells.";
  }
  if (response.status == 409) {
    error.remedy =
        "Another tool manages these fields. Let it go of them, or take them out of the "
        "deployment.";
  }
  return error;
}

}  // namespace

std::string collection_path(std::string_view api_version, std::string_view space,
                            std::string_view plural) {
  const bool core = api_version.find('/') == std::string_view::npos;
  return (core ? "/api/" : "/apis/") + std::string(api_version) + "/namespaces/" +
         std::string(space) + "/" + std::string(plural);
}

std::string object_path(const Manifest& manifest) {
  return collection_path(manifest.api_version, manifest.space, manifest.plural) + "/" +
         manifest.name;
}

HttpRequest KubernetesApi::request(std::string method, const std::string& path) const {
  HttpRequest request;
  request.method = std::move(method);
  request.url = access_.server + path;
  request.timeout = std::chrono::seconds(60);
  if (!access_.token.empty()) {
    request.headers.emplace_back("Authorization", "Bearer " + access_.token);
  }
  request.headers.emplace_back("Accept", "application/json");
  request.ca_file = access_.ca_file;
  request.client_cert_file = access_.cert_file;
  request.client_key_file = access_.key_file;
  request.insecure = access_.insecure;
  return request;
}

/// Every request of ours may be sent twice: reads, server-side apply, removal.
Result<Json> KubernetesApi::send(const HttpRequest& request) const {
  for (int attempt = 1;; ++attempt) {
    const auto response = http_request(request);
    const bool busy = response && (response->status == 429 || response->status >= 500);
    if (busy && attempt < kAttempts) {
      std::this_thread::sleep_for(pause_before(attempt, *response));
      continue;
    }
    if (!response) return response.error();
    if (response->status < 200 || response->status >= 300) return refusal(request, *response);
    auto document = parse_json(response->body, request.url);
    if (document) return document;
    return Error{ErrorCode::kUnreachable, "the answer is not JSON: no Kubernetes API is there",
                 request.url,
                 "Is the kubeconfig's server right, and does a proxy stand before it?"};
  }
}

Result<Json> KubernetesApi::get(const std::string& path) const {
  return send(request("GET", path));
}

Result<Json> KubernetesApi::apply(const Manifest& manifest, bool dry_run) const {
  HttpRequest patch = request("PATCH", object_path(manifest) + "?fieldManager=" + kFieldManager +
                                           (dry_run ? "&dryRun=All" : ""));
  patch.headers.emplace_back("Content-Type", "application/apply-patch+yaml");
  patch.body = manifest.yaml;
  return send(patch);
}

Result<Json> KubernetesApi::find_object(const Manifest& manifest) const {
  auto object = get(object_path(manifest));
  if (!object && object.error().code == ErrorCode::kNotFound) return Json(nullptr);
  return object;
}

Status KubernetesApi::remove(const std::string& path) const {
  HttpRequest message = request("DELETE", path + "?propagationPolicy=Foreground");
  const auto done = send(message);
  if (!done && done.error().code != ErrorCode::kNotFound) return done.error();
  return {};
}

Status KubernetesApi::restart(const Manifest& workload) const {
  const Json annotations =
      JsonObject{{"annotations", JsonObject{{"bundle.dev/restarted-at", utc_now()}}}};
  const Json pods = JsonObject{{"template", JsonObject{{"metadata", annotations}}}};
  const Json group =
      JsonObject{{"leaderWorkerTemplate", JsonObject{{"leaderTemplate", pods.at("template")},
                                                     {"workerTemplate", pods.at("template")}}}};
  HttpRequest patch = request("PATCH", object_path(workload) + "?fieldManager=bundle-restart");
  patch.headers.emplace_back("Content-Type", "application/merge-patch+json");
  patch.body = print_json(JsonObject{{"spec", workload.kind == "LeaderWorkerSet" ? group : pods}});
  BUNDLE_CHECK(send(patch));
  return {};
}

Status KubernetesApi::stream(const std::string& path, const OnHttpData& on_data) const {
  HttpRequest message = request("GET", path);
  message.timeout = std::chrono::milliseconds(0);
  message.keep_going = [&on_data] { return on_data(""); };
  BUNDLE_TRY(const HttpResponse response, http_stream(message, on_data));
  if (response.status < 200 || response.status >= 300) return refusal(message, response);
  return {};
}

Result<ClusterFeatures> KubernetesApi::features() const {
  BUNDLE_TRY(const Json version, get("/version"));
  BUNDLE_TRY(const Json groups, get("/apis"));
  return features_of_server(version, groups);
}

}  // namespace bundle::cloud
