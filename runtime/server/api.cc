#include "runtime/server/api.h"

#include <algorithm>
#include <exception>
#include <new>

#include "base/sha256.h"

namespace bundle::server {
namespace {

constexpr std::string_view kMethods[] = {"GET",   "HEAD",    "POST",  "PUT",    "DELETE",
                                         "PATCH", "OPTIONS", "TRACE", "CONNECT"};

/// Takes the same time wherever the two differ. Both are hashes of one length.
bool equals_in_constant_time(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  }
  return difference == 0;
}

std::optional<ApiError> check_media_type(const HttpRequest& head) {
  const auto refuse = [](std::string message) {
    return ApiError{.status = 415, .code = "unsupported_media_type", .message = std::move(message)};
  };
  std::string_view type = head.field("content-type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  if (!equals_ignoring_case(type, "application/json")) {
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
  bool needs_key;
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
      {"/v1/models", "GET", list_models, true, false},
      {"/v1/models/*", "GET", get_model, true, false},
      {"/v1/chat/completions", "POST", create_chat_completion, true, false},
      {"/v1/completions", "POST", create_completion, true, false},
      {"/tokenize", "POST", tokenize, true, false},
      {"/detokenize", "POST", detokenize, true, false},
      {"/metrics", "GET", get_metrics, true, true},
      {"/version", "GET", get_version, true, true},
      {"/health", "GET", get_health, false, true},
      {"/ready", "GET", get_ready, false, true},
  };
  return table;
}

Api::Api(Service& service) : service_(service) {
  for (const std::string& key : service.options().api_keys) {
    key_hashes_.push_back(sha256_hex(key));
  }
}

const Api::Route* Api::find(std::string_view path) {
  const auto& table = routes();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Route& route) { return route.matches(path); });
  return found == table.end() ? nullptr : &*found;
}

bool Api::has_key(const HttpRequest& head) const {
  std::string_view credentials = head.field("authorization");
  if (!equals_ignoring_case(credentials.substr(0, 7), "Bearer ")) return false;
  credentials.remove_prefix(7);
  while (credentials.starts_with(' ')) credentials.remove_prefix(1);
  const std::string hash = sha256_hex(credentials);
  bool known = false;
  for (const std::string& key : key_hashes_) known |= equals_in_constant_time(hash, key);
  return known;
}

std::optional<ApiError> Api::check(const HttpRequest& head, Door door) const {
  if (std::find(std::begin(kMethods), std::end(kMethods), head.method) == std::end(kMethods)) {
    return ApiError{.status = 501,
                    .code = "method_not_implemented",
                    .message = "The method '" + head.method + "' is not known here."};
  }
  if (head.method == "OPTIONS" && head.path == "*") return std::nullopt;
  const Route* route = find(head.path);
  const bool open = door == Door::kAdmin || key_hashes_.empty() ||
                    (route != nullptr && !route->needs_key) || head.method == "OPTIONS";
  // The key comes first: without one, nobody learns which routes exist.
  if (!open && !has_key(head)) {
    return unauthorized(head.field("authorization").empty()
                            ? "An API key is required: send 'Authorization: Bearer KEY'."
                            : "The API key is not valid.");
  }
  if (route == nullptr || (door == Door::kAdmin && !route->on_admin)) {
    return not_found_error("unknown_url",
                           "There is no " + head.method + " " + head.path + " here.");
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
  const auto& origins = service_.options().cors_origins;
  const std::string_view origin = request.field("origin");
  const bool any = std::find(origins.begin(), origins.end(), "*") != origins.end();
  const bool named = std::find(origins.begin(), origins.end(), origin) != origins.end();
  if (origins.empty() || origin.empty() || !(any || named)) return {};
  std::vector<Field> out = {{"Access-Control-Allow-Origin", any ? "*" : std::string(origin)},
                            {"Access-Control-Expose-Headers", "X-Request-Id, Retry-After"}};
  if (!any) out.push_back({"Vary", "Origin"});
  if (request.method == "OPTIONS") {
    out.push_back({"Access-Control-Allow-Methods", "GET, POST, OPTIONS"});
    out.push_back({"Access-Control-Allow-Headers",
                   "Authorization, Content-Type, X-Request-Id, X-Stainless-Arch, "
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
    model->metrics.http_answered(route == nullptr ? "other" : route->path, status);
  }
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
