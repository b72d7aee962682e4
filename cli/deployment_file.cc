#include "cli/deployment_file.h"

#include <boost/json/object.hpp>

#include "base/text.h"
#include "cli/deployment_keys.h"
#include "packager/manifest_value.h"
#include "packager/yaml.h"

namespace bundle::cli {
namespace {

using packager::KeyType;
using packager::YamlNode;

constexpr std::uint64_t kMostBytes = 1u << 20;

Error unknown_key(std::string_view section, const YamlNode& name, std::string_view where) {
  const std::string near = nearest(name.text, deployment_key_names(section));
  const std::string place = section.empty() ? "" : " in '" + std::string(section) + "'";
  return bad_input(
      "unknown key '" + name.text + "'" + place, packager::yaml_position(where, name),
      near.empty() ? "docs/deployment-yaml.md lists every key." : "Did you mean '" + near + "'?");
}

Result<JsonObject> read_section(std::string_view section, const YamlNode& node,
                                std::string_view where) {
  JsonObject values;
  if (node.kind == YamlNode::Kind::kNull) return values;
  if (node.kind != YamlNode::Kind::kMap) {
    return bad_input(section.empty() ? "a deployment file is a map of keys"
                                     : "'" + std::string(section) + "' is not a map",
                     packager::yaml_position(where, node));
  }
  for (const auto& [name, value] : node.members) {
    const std::string path = section.empty() ? name.text : std::string(section) + "." + name.text;
    const packager::ManifestKey* key = find_deployment_key(path);
    if (key == nullptr) return unknown_key(section, name, where);
    if (path == "runtime") {
      BUNDLE_TRY(values[name.text], packager::manifest_section("runtime", value, where));
    } else if (key->type == KeyType::kSection) {
      BUNDLE_TRY(values[name.text], read_section(path, value, where));
    } else {
      BUNDLE_TRY(values[name.text], packager::manifest_value(*key, value, where));
    }
  }
  return values;
}

void make_absolute(Json& text, const Path& folder) {
  if (text.is_string()) {
    text = (folder / std::string(text.get_string())).lexically_normal().string();
  }
}

/// A person writes paths beside the file; commands may run anywhere.
void make_paths_absolute(JsonObject& document, const Path& folder) {
  if (Json* keys = document.if_contains("api_key_file")) make_absolute(*keys, folder);
  if (Json* tls = document.if_contains("tls"); tls != nullptr && tls->is_object()) {
    for (auto& member : tls->get_object()) make_absolute(member.value(), folder);
  }
  if (Json* secrets = document.if_contains("secrets"); secrets != nullptr && secrets->is_object()) {
    for (auto& member : secrets->get_object()) make_absolute(member.value(), folder);
  }
}

}  // namespace

Result<JsonObject> read_deployment_file(const Path& path) {
  BUNDLE_TRY(const std::string text, read_file(path, kMostBytes));
  BUNDLE_TRY(const YamlNode root, packager::parse_yaml(text, path.string()));
  BUNDLE_TRY(JsonObject document, read_section("", root, path.string()));
  std::error_code ignored;
  make_paths_absolute(document, std::filesystem::absolute(path, ignored).parent_path());
  return document;
}

}  // namespace bundle::cli
