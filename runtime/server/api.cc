#include "runtime/server/api.h"

#include <algorithm>
#include <exception>
#include <new>

#include "runtime/server/member_engine.h"
#include "runtime/server/request_timeout.h"

namespace bundle::server {
namespace {

constexpr std::string_view kMethods[] = {"GET",   "HEAD",    "POST",  "PUT",    "DELETE",
                                         "PATCH", "OPTIONS", "TRACE", "CONNECT"};

/// `Authorization: Bearer KEY`, or Anthropic's `X-Api-Key: KEY`; "" when there is neither.
std::string_view secret_of(const HttpRequest& head) {
  std::string_view credentials = head.field("authorization");
  if (credentials.empty()) return head.field("x-api-key");
  if (!equals_ignoring_case(credentials.substr(0, 7), "Bearer ")) return {};
  credentials.remove_prefix(7);
  while (credentials.starts_with(' ')) credentials.remove_prefix(1);
  return credentials;
}

std::optional<ApiError> check_timeout(const HttpRequest& head) {
  if (head.field(kTimeoutField).empty() || requested_timeout(head)) return std::nullopt;
  return ApiError{.code = "invalid_value",
                  .message = "X-Request-Timeout-Ms must be a whole number from 1 to 86400000.",
                  .param = "X-Request-Timeout-Ms"};
}

std::optional<ApiError> check_media_type(const HttpRequest& head) {
  const auto refuse = [](std::string message) {
    return ApiError{.status = 415, .code = "unsupported_media_type", .message = std::move(message)};
  };
  std::string_view type = head.field("content-type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  // Ollama's own examples name no type. What a web page sends without asking first names its
  // origin.
  const bool any_type = head.path.starts_with("/api/") && head.field("origin").empty();
  if (!any_type && !equals_ignoring_case(type, "application/json")) {
    return refuse("The body must be sent with Content-Type: application/json.");
  }
  const std::string_view encoding = head.field("content-encoding");
  if (!encoding.empty() && !equals_ignoring_case(encoding, "identity")) {
    return refuse("A Content-Encoding is not supported.");
  }
  return std::nullopt;
}

}  // namespace

struct Api::Route {
  const char* path;  // a last '*' stands for the rest, which is not empty
  const char* method;
  ReplyResult (*handler)(Service&, const HttpRequest&);
  Scope scope;
  bool on_admin;

  bool matches(std::string_view asked) const {
    const std::string_view pattern = path;
    if (!pattern.ends_with('*')) return asked == pattern;
    const std::string_view start = pattern.substr(0, pattern.size() - 1);
    return asked.size() > start.size() && asked.starts_with(start);
  }
  std::string allowed() const {
    return std::string_view(method) == "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
  }
};

const std::vector<Api::Route>& Api::routes() {
  static const std::vector<Route> table = {
      {"/v1/models", "GET", list_models, Scope::kInference, false},
      {"/v1/models/*", "GET", get_model, Scope::kInference, false},
      {"/v1/chat/completions", "POST", create_chat_completion, Scope::kInference, false},
      {"/v1/completions", "POST", create_completion, Scope::kInference, false},
      {"/v1/admission", "POST", preview_admission, Scope::kInference, false},
      {"/v1/embeddings", "POST", create_embeddings, Scope::kInference, false},
      {"/v1/responses", "POST", create_response, Scope::kInference, false},
      {"/v1/messages", "POST", create_message, Scope::kInference, false},
      {"/v1/messages/count_tokens", "POST", count_message_tokens, Scope::kInference, false},
      {"/api/chat", "POST", ollama_chat, Scope::kInference, false},
      {"/api/generate", "POST", ollama_generate, Scope::kInference, false},
      {"/api/tags", "GET", ollama_tags, Scope::kInference, false},
      {"/api/version", "GET", ollama_version, Scope::kInference, false},
      {"/openapi.json", "GET", get_openapi, Scope::kInference, false},
      {"/tokenizer_info", "GET", get_tokenizer_info, Scope::kInference, false},
      {"/tokenize", "POST", tokenize, Scope::kInference, false},
      {"/detokenize", "POST", detokenize, Scope::kInference, false},
      {"/metrics", "GET", get_metrics, Scope::kMetrics, true},
      {"/autoscale", "GET", get_autoscale, Scope::kMetrics, true},
      {"/version", "GET", get_version, Scope::kMetrics, true},
      {"/health", "GET", get_health, Scope::kNone, true},
      {"/live", "GET", get_live, Scope::kNone, true},
      {"/ready", "GET", get_ready, Scope::kNone, true},
      {"/", "GET", get_page, Scope::kNone, false},
      {"/page/*", "GET", get_page, Scope::kNone, false},
  };
  return table;
}

const Api::Route* Api::find(std::string_view path) {
  const auto& table = routes();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Route& route) { return route.matches(path); });
  return found == table.end() ? nullptr : &*found;
}

std::shared_ptr<Client> Api::client_of(const HttpRequest& head) const {
  const std::string_view secret = secret_of(head);
  return secret.empty() ? nullptr : service_.keys().find(secret);
}

/// The key comes first: without one, nobody learns which routes exist.
std::optional<ApiError> Api::check_key(const HttpRequest& head, const Route* route) const {
  const Scope scope = route == nullptr ? Scope::kInference : route->scope;
  if (scope == Scope::kNone || head.method == "OPTIONS" || service_.keys().open()) {
    return std::nullopt;
  }
  if (head.client == nullptr) {
    return unauthorized(secret_of(head).empty()
                            ? "An API key is required: send 'Authorization: Bearer KEY'."
                            : "The API key is not valid.");
  }
  if (route != nullptr && !head.client->key().may(scope)) {
    return forbidden("The API key may not use " + head.path + ".");
  }
  return std::nullopt;
}

std::optional<ApiError> Api::check(const HttpRequest& head, Door door) const {
  if (std::find(std::begin(kMethods), std::end(kMethods), head.method) == std::end(kMethods)) {
    return ApiError{.status = 501,
                    .code = "method_not_implemented",
                    .message = "The method '" + head.method + "' is not known here."};
  }
  if (head.method == "OPTIONS" && head.path == "*") return std::nullopt;
  const Route* route = find(head.path);
  if (door == Door::kPublic) {
    if (auto refusal = check_key(head, route)) return refusal;
  }
  if (route == nullptr || (door == Door::kAdmin && !route->on_admin)) {
    return not_found_error("unknown_url",
                           "There is no " + head.method + " " + head.path + " here.");
  }
  const MemberEngine* member = as_member(service_.engine());
  if (member != nullptr && !route->on_admin) {
    return ApiError{.status = 421, .code = "misdirected_request", .message = member->why()};
  }
  if (head.method == "OPTIONS") return std::nullopt;
  const std::string_view method = head.method == "HEAD" ? "GET" : std::string_view(head.method);
  if (method != route->method) return method_not_allowed(head.method, route->allowed());
  if (method == "GET") return std::nullopt;
  if (!head.chunked && !head.content_length) {
    return ApiError{.status = 411,
                    .code = "length_required",
                    .message = "A POST needs a Content-Length or chunked Transfer-Encoding."};
  }
  if (auto refusal = check_timeout(head)) return refusal;
  return check_media_type(head);
}

Reply Api::handle(const HttpRequest& request) const {
  ReplyResult reply = internal_error("");
  try {
    reply = answer(request);
  } catch (const std::bad_alloc&) {
    reply = unavailable("out_of_memory", "There is no memory for this request.", 5);
  } catch (const std::exception& problem) {
    reply = internal_error(std::string("The request could not be handled: ") + problem.what());
  }
  if (reply.has_error()) return {error_response(reply.error()), nullptr};
  return *std::move(reply);
}

ReplyResult Api::answer(const HttpRequest& request) const {
  const Route* route = find(request.path);
  if (request.method == "OPTIONS") {
    HttpResponse response{.status = 204, .content_type = ""};
    if (route != nullptr) response.fields.push_back({"Allow", route->allowed()});
    return Reply{std::move(response), nullptr};
  }
  return route->handler(service_, request);
}

std::vector<Field> Api::common_fields(const HttpRequest& request) const {
  std::vector<Field> out = cors_fields(request);
  if (request.client == nullptr) return out;
  for (Field& field : request.client->rate_fields(Client::Clock::now())) {
    out.push_back(std::move(field));
  }
  return out;
}

std::vector<Field> Api::cors_fields(const HttpRequest& request) const {
  const auto& origins = service_.options().cors_origins;
  const std::string_view origin = request.field("origin");
  const bool any = std::find(origins.begin(), origins.end(), "*") != origins.end();
  const bool named = std::find(origins.begin(), origins.end(), origin) != origins.end();
  if (origins.empty() || origin.empty() || !(any || named)) return {};
  std::vector<Field> out = {
      {"Access-Control-Allow-Origin", any ? "*" : std::string(origin)},
      {"Access-Control-Expose-Headers",
       "X-Request-Id, Retry-After, Retry-After-Ms, X-RateLimit-Limit-Requests, "
       "X-RateLimit-Remaining-Requests, X-RateLimit-Limit-Tokens, "
       "X-RateLimit-Remaining-Tokens, X-RateLimit-Reset-Requests, X-RateLimit-Reset-Tokens, "
       "X-Should-Retry"}};
  if (!any) out.push_back({"Vary", "Origin"});
  if (request.method == "OPTIONS") {
    out.push_back({"Access-Control-Allow-Methods", "GET, POST, OPTIONS"});
    out.push_back({"Access-Control-Allow-Headers",
                   "Authorization, Content-Type, X-Request-Id, X-Request-Timeout-Ms, X-Api-Key, "
                   "traceparent, tracestate, Anthropic-Version, Anthropic-Beta, "
                   "Anthropic-Dangerous-Direct-Browser-Access, X-Stainless-Arch, "
                   "X-Stainless-Lang, X-Stainless-OS, X-Stainless-Package-Version, "
                   "X-Stainless-Retry-Count, X-Stainless-Runtime, X-Stainless-Runtime-Version, "
                   "X-Stainless-Timeout"});
    out.push_back({"Access-Control-Max-Age", "600"});
  }
  return out;
}

void Api::count(const HttpRequest& request, int status) const {
  const Route* route = find(request.path);
  if (const auto model = service_.model()) {
    model->metrics.http_answered(route == nullptr ? "other" : route->path, request.method, status);
  }
}

std::string_view Api::route_of(std::string_view path) {
  const Route* route = find(path);
  return route == nullptr ? std::string_view() : route->path;
}

ReplyResult admit(Service& service, const HttpRequest& request, ApiResult<GenerationPlan> plan) {
  if (plan.has_error()) return std::move(plan).error();
  BUNDLE_TRY(plan->ticket, service.admit(*plan->model, request, demand_of(*plan)));
  return Reply{{}, std::make_unique<Generation>(service, *std::move(plan))};
}

Reply json_reply(const Json& body) { return {HttpResponse{.body = print_json(body)}, nullptr}; }

ApiResult<JsonObject> read_body(const HttpRequest& request) {
  auto body = parse_json(request.body, "the request's body");
  if (body.has_error()) return invalid_field("", body.error().message(), "invalid_json");
  if (!body->is_object())
    return invalid_field("", "The body must be a JSON object.", "invalid_json");
  return std::move(body->get_object());
}

}  // namespace bundle::server
