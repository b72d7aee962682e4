// The JSON Schema and the reference page, both printed from the table of keys.
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/manifest.h"
#include "packager/manifest_keys.h"

namespace bundle::packager {
namespace {

JsonObject text_schema(const ManifestKey& key, bool with_pattern) {
  JsonObject schema{{"type", "string"}};
  if (key.max > 0) schema["maxLength"] = static_cast<std::int64_t>(key.max);
  if (with_pattern && !key.pattern.empty()) schema["pattern"] = key.pattern;
  return schema;
}

JsonObject section_schema(std::string_view section);

JsonObject type_schema(const ManifestKey& key) {
  switch (key.type) {
    case KeyType::kSection: {
      JsonObject schema = section_schema(key.path);
      schema["type"] = JsonArray{"object", "null"};  // `runtime:` with nothing below it
      return schema;
    }
    case KeyType::kText:
      return text_schema(key, true);
    case KeyType::kChoice: {
      JsonArray choices;
      for (const std::string& choice : choices_of(key)) choices.emplace_back(choice);
      return {{"enum", std::move(choices)}};
    }
    case KeyType::kWhole:
      return {{"type", "integer"},
              {"minimum", static_cast<std::int64_t>(key.min)},
              {"maximum", static_cast<std::int64_t>(key.max)}};
    case KeyType::kReal:
      return {{"type", "number"}, {"minimum", key.min}, {"maximum", key.max}};
    case KeyType::kBool:
      return {{"type", "boolean"}};
    case KeyType::kQuantity:
      return {{"type", JsonArray{"integer", "string"}},
              {"minimum", 0},
              {"pattern", "^[0-9]+([.][0-9]+)?([kMGT]|[KMGT]i)?$"}};
    case KeyType::kTexts:
      return {{"type", "array"}, {"items", text_schema(key, true)}};
    case KeyType::kTextMap: {
      JsonObject schema{{"type", "object"}};
      if (!key.pattern.empty()) schema["propertyNames"] = JsonObject{{"pattern", key.pattern}};
      schema["additionalProperties"] = text_schema(key, false);
      return schema;
    }
  }
  return {};
}

JsonObject section_schema(std::string_view section) {
  JsonObject properties;
  for (const ManifestKey* key : keys_in(section)) {
    JsonObject schema{{"description", key->about}};
    for (auto& [name, value] : type_schema(*key)) schema[name] = value;
    properties[leaf_of(key->path)] = std::move(schema);
  }
  return {
      {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
}

}  // namespace

Json manifest_schema() {
  JsonObject schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                    {"title", "bundle.yaml"}};
  for (auto& [name, value] : section_schema("")) schema[name] = value;
  return schema;
}

std::string manifest_reference() {
  std::string page =
      "# bundle.yaml\n\n"
      "Printed from the table that the parser reads (packager/manifest_keys.cc).\n\n"
      "| Key | Value | Default | Meaning |\n|---|---|---|---|\n";
  for (const ManifestKey& key : manifest_keys()) {
    page += fmt::format("| `{}` | {} | {} | {} |\n", key.path, describe_type(key), key.fallback,
                        key.about);
  }
  return page;
}

}  // namespace bundle::packager
