// GET /openapi.json: the document of this API. What this server's limits and model decide is filled
// in: the version, and bounds of fields.
#include "runtime/server/endpoints.h"

namespace bundle::server {

/// openapi.json, as CMake compiled it in.
extern const char kOpenApi[];

namespace {

/// Gives every property of this name in the document's schemas an upper bound.
void set_bound(Json& value, std::string_view property, const char* bound, std::int64_t most) {
  if (auto* list = value.if_array()) {
    for (Json& entry : *list) set_bound(entry, property, bound, most);
  }
  auto* object = value.if_object();
  if (object == nullptr) return;
  for (auto& [name, member] : *object) {
    if (std::string_view(name) == property && member.is_object() &&
        member.get_object().contains(bound)) {
      member.get_object()[bound] = most;
    }
    set_bound(member, property, bound, most);
  }
}

}  // namespace

ReplyResult get_openapi(Service& service, const HttpRequest&) {
  auto document = parse_json(kOpenApi, "openapi.json");
  if (!document) return internal_error(document.error().message());
  const ServerLimits& limits = service.options().limits;
  document->at("info").get_object()["version"] = service.options().version;
  set_bound(*document, "n", "maximum", limits.choices);
  set_bound(*document, "best_of", "maximum", limits.choices);
  set_bound(*document, "top_logprobs", "maximum", limits.logprobs);
  return json_reply(*document);
}

}  // namespace bundle::server
