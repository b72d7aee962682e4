#include "packager/manifest.h"

#include <algorithm>

#include <boost/json/object.hpp>

#include "base/text.h"
#include "packager/manifest_keys.h"
#include "packager/manifest_value.h"
#include "packager/spdx.h"
#include "packager/yaml.h"

namespace bundle::packager {
namespace {

constexpr std::uint64_t kMostManifestBytes = 1u << 20;

std::string text_of(const JsonObject& document, std::string_view key) {
  const Json* value = document.if_contains(key);
  return value == nullptr ? "" : std::string(value->get_string());
}

std::vector<std::string> texts_of(const JsonObject& document, std::string_view key) {
  std::vector<std::string> texts;
  if (const Json* value = document.if_contains(key); value != nullptr) {
    for (const Json& item : value->get_array()) texts.emplace_back(item.get_string());
  }
  return texts;
}

std::map<std::string, std::string> text_map_of(const JsonObject& document, std::string_view key) {
  std::map<std::string, std::string> texts;
  if (const Json* value = document.if_contains(key); value != nullptr) {
    for (const auto& [name, text] : value->get_object()) texts[name] = text.get_string();
  }
  return texts;
}

JsonObject section_of(const JsonObject& document, std::string_view key) {
  const Json* value = document.if_contains(key);
  return value == nullptr ? JsonObject() : value->get_object();
}

Manifest from_document(const JsonObject& document) {
  Manifest manifest;
  manifest.name = text_of(document, "name");
  manifest.version = text_of(document, "version");
  manifest.model = text_of(document, "model");
  manifest.quantize = text_of(document, "quantize");
  manifest.description = text_of(document, "description");
  manifest.license = text_of(document, "license");
  manifest.include = texts_of(document, "include");
  manifest.exclude = texts_of(document, "exclude");
  manifest.runtime = section_of(document, "runtime");
  manifest.resources = section_of(document, "resources");
  manifest.scaling = section_of(document, "scaling");
  manifest.env = text_map_of(document, "env");
  manifest.secrets = texts_of(document, "secrets");
  manifest.labels = text_map_of(document, "labels");
  return manifest;
}

/// Where the value of a top-level key stands, for errors that concern more than one key.
std::string position_of(const YamlNode& root, std::string_view key, std::string_view where) {
  for (const auto& [name, value] : root.members) {
    if (name.text == key) return yaml_position(where, value);
  }
  return std::string(where);
}

Status check_model(const Manifest& manifest, const std::string& where) {
  const std::size_t scheme = manifest.model.find("://");
  if (scheme == std::string::npos) return {};
  for (const char* known : {"hf", "https", "http", "s3", "oci"}) {
    if (manifest.model.substr(0, scheme) == known) return {};
  }
  return bad_input(
      "there is no model source '" + manifest.model.substr(0, scheme) + "://'", where,
      "Write a path, hf://ORG/NAME, https://HOST/FILE.gguf#sha256=HEX, s3://BUCKET/… or "
      "oci://REGISTRY/NAME.");
}

Status check_license(const Manifest& manifest, const std::string& where) {
  if (manifest.license.empty()) return {};
  const Status checked = check_spdx(manifest.license);
  if (checked) return {};
  Error error = checked.error();
  error.where = where;
  return error;
}

Status check_secrets(const Manifest& manifest, const std::string& where) {
  for (const std::string& name : manifest.secrets) {
    if (manifest.env.contains(name)) {
      return bad_input("'" + name + "' is both in 'env' and in 'secrets'", where,
                       "Take it out of 'env': what stands there is readable in the bundle.");
    }
  }
  return {};
}

Status check_scaling(const Manifest& manifest, const std::string& where) {
  const Json* least = manifest.scaling.if_contains("min_replicas");
  const Json* most = manifest.scaling.if_contains("max_replicas");
  if (least == nullptr || most == nullptr || least->get_int64() <= most->get_int64()) return {};
  return bad_input("'scaling.min_replicas' is over 'scaling.max_replicas'", where);
}

/// The nearest known path, also for one that was written without its section.
std::string suggestion(std::string_view path) {
  std::vector<std::string> paths;
  for (const ManifestKey& key : manifest_keys()) {
    if (leaf_of(key.path) == path) return std::string(key.path);
    paths.emplace_back(key.path);
  }
  return nearest(path, paths);
}

Error unknown_setting(std::string_view path) {
  const std::string near = suggestion(path);
  return {ErrorCode::kUsage, "unknown setting '" + std::string(path) + "'", "",
          near.empty() ? "The keys are those of bundle.yaml." : "Did you mean '" + near + "'?"};
}

/// The section that holds the last part of `path`, made where it is absent; null when something
/// else stands in its place.
JsonObject* holder_of(JsonObject& document, std::string_view path) {
  JsonObject* holder = &document;
  for (std::size_t dot; (dot = path.find('.')) != std::string_view::npos;) {
    Json& next = (*holder)[path.substr(0, dot)];
    if (next.is_null()) next = JsonObject();
    if (!next.is_object()) return nullptr;
    holder = &next.get_object();
    path.remove_prefix(dot + 1);
  }
  return holder;
}

/// What the shell handed over, as bundle.yaml would have it: a text is a text without quotes too.
YamlNode setting_node(const ManifestKey& key, std::string_view value) {
  YamlNode node;
  node.kind = YamlNode::Kind::kScalar;
  node.text = value;
  node.quoted = key.type == KeyType::kText;
  if (key.type != KeyType::kTexts) return node;
  YamlNode list;
  list.kind = YamlNode::Kind::kSequence;
  node.quoted = true;
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    node.text = value.substr(0, comma);
    list.items.push_back(node);
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  return list;
}

/// The key of "env.PATH" is "env", and what it sets a text named PATH.
Result<ManifestKey> setting_key(std::string_view path) {
  const ManifestKey* key = find_manifest_key(path);
  const ManifestKey* map = find_manifest_key(path.substr(0, path.find('.')));
  const bool in_map = map != nullptr && map->type == KeyType::kTextMap && map->path != path;
  if (key == nullptr && in_map) {
    ManifestKey text = *map;
    text.path = path;
    text.type = KeyType::kText;
    text.pattern = {};
    return text;
  }
  if (key == nullptr) return unknown_setting(path);
  if (key->type == KeyType::kSection || key->type == KeyType::kTextMap) {
    return Error{ErrorCode::kUsage, "'" + std::string(path) + "' is a section, not a setting", "",
                 "Name a key in it, such as '" + std::string(path) + ".KEY=VALUE'."};
  }
  return *key;
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view text, std::string_view where) {
  BUNDLE_TRY(const YamlNode root, parse_yaml(text, where));
  BUNDLE_TRY(const JsonObject document, manifest_section("", root, where));
  Manifest manifest = from_document(document);
  manifest.model_where = position_of(root, "model", where);
  BUNDLE_CHECK(check_model(manifest, manifest.model_where));
  BUNDLE_CHECK(check_license(manifest, position_of(root, "license", where)));
  BUNDLE_CHECK(check_secrets(manifest, position_of(root, "secrets", where)));
  BUNDLE_CHECK(check_scaling(manifest, position_of(root, "scaling", where)));
  return manifest;
}

Result<Manifest> read_manifest(const Path& file) {
  BUNDLE_TRY(const std::string text, read_file(file, kMostManifestBytes));
  return parse_manifest(text, file.string());
}

Status apply_setting(JsonObject& document, std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    return Error{ErrorCode::kUsage, "'" + std::string(assignment) + "' is not KEY=VALUE"};
  }
  const std::string_view path = assignment.substr(0, equals);
  BUNDLE_TRY(const ManifestKey key, setting_key(path));
  auto value = manifest_value(key, setting_node(key, assignment.substr(equals + 1)), "--set");
  if (!value) {
    Error error = std::move(value).error();
    error.code = ErrorCode::kUsage;
    error.where = "--set " + std::string(path);
    return error;
  }
  // A name in a map of texts may hold dots itself.
  const bool in_map = find_manifest_key(path) == nullptr;
  const std::size_t dot = in_map ? path.find('.') : path.rfind('.');
  const std::string_view leaf = dot == std::string_view::npos ? path : path.substr(dot + 1);
  const std::size_t section = path.size() - leaf.size();
  JsonObject* holder = holder_of(document, path.substr(0, section));
  if (holder == nullptr) return failed("the settings are no map", std::string(path));
  (*holder)[leaf] = *std::move(value);
  return {};
}

bool is_valid_name(std::string_view name) {
  YamlNode node;
  node.kind = YamlNode::Kind::kScalar;
  node.quoted = true;
  node.text = name;
  return scalar_value(*find_manifest_key("name"), node).has_value();
}

std::string normalized_name(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    const bool is_kept = is_upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const char separator = c == '.' || c == '_' ? c : '-';
    if (is_kept) {
      name += is_upper ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!name.empty() && name.back() != '-' && name.back() != '.' && name.back() != '_') {
      name += separator;
    }
    if (name.size() == 128) break;
  }
  while (!name.empty() && (name.back() == '-' || name.back() == '.' || name.back() == '_')) {
    name.pop_back();
  }
  return name;
}

}  // namespace bundle::packager
