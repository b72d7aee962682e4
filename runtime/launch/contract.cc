#include "runtime/launch/contract.h"

#include <algorithm>

#include "base/text.h"

namespace bundle::launch {
namespace {

constexpr int kVersion = 1;

Status check_keys(const JsonObject& object, std::string_view where) {
  static const std::vector<std::string> known = {"version", "name", "content_digest", "model",
                                                 "runtime"};
  for (const auto& [key, value] : object) {
    const std::string name = key;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string near = nearest(name, known);
    return bad_input("unknown key \"" + name + "\"", std::string(where),
                     near.empty() ? "" : "Did you mean \"" + near + "\"?");
  }
  return {};
}

}  // namespace

Json LaunchSpec::to_json() const {
  return JsonObject{{"version", version},
                    {"name", name},
                    {"content_digest", content_digest},
                    {"model", model.to_json()},
                    {"runtime", runtime}};
}

Result<LaunchSpec> LaunchSpec::from_json(const Json& value, std::string_view where) {
  if (!value.is_object())
    return bad_input("a launch document must be an object", std::string(where));
  BUNDLE_TRY(const std::int64_t version, get_int(value, "version", where));
  if (version != kVersion) {
    return bad_input("launch version " + std::to_string(version) + " is not one this server knows",
                     std::string(where), "Use the bundle command that came with this server.");
  }
  BUNDLE_CHECK(check_keys(value.get_object(), where));
  LaunchSpec spec;
  BUNDLE_TRY(spec.name, get_string(value, "name", where));
  BUNDLE_TRY(spec.content_digest, get_string_or(value, "content_digest", "", where));
  const Json* model = find(value, "model");
  if (model == nullptr) return bad_input("the key \"model\" is missing", std::string(where));
  BUNDLE_TRY(spec.model, format::ModelSource::from_json(*model, where));
  if (const Json* runtime = find(value, "runtime"); runtime != nullptr && !runtime->is_null()) {
    if (!runtime->is_object()) return bad_input("runtime must be an object", std::string(where));
    spec.runtime = runtime->get_object();
  }
  return spec;
}

}  // namespace bundle::launch
