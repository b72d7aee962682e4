#include "packager/manifest_value.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <regex>

#include <boost/json/object.hpp>

#include "base/text.h"

namespace bundle::packager {
namespace {

Error wrong_type(const ManifestKey& key, std::string_view got) {
  return bad_input("'" + std::string(key.path) + "' must be " + describe_type(key) + ", not " +
                   std::string(got));
}

std::string describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "empty";
    case YamlNode::Kind::kSequence:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
    case YamlNode::Kind::kScalar:
      break;
  }
  const bool is_long = node.text.size() > 60;
  const std::string shown =
      is_long ? node.text.substr(0, complete_utf8_prefix(node.text.substr(0, 57))) + "..."
              : node.text;
  return node.quoted ? '"' + shown + '"' : "'" + shown + "'";
}

template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// What YAML itself would not read as a string.
bool looks_typed(const YamlNode& node) {
  if (node.quoted) return false;
  for (const char* word : {"true", "false", "null", "~", "True", "False", "TRUE", "FALSE"}) {
    if (node.text == word) return true;
  }
  return parse_number<double>(node.text).has_value();
}

Result<Json> text_value(const ManifestKey& key, const YamlNode& node) {
  if (looks_typed(node)) {
    Error error = wrong_type(key, describe(node));
    error.remedy = "Write it in quotes: \"" + node.text + "\".";
    return error;
  }
  const std::size_t most = key.max > 0            ? static_cast<std::size_t>(key.max)
                           : !key.pattern.empty() ? kMostPatternBytes
                                                  : kMostTextBytes;
  if (node.text.size() > most) {
    return bad_input("'" + std::string(key.path) + "' is longer than " + std::to_string(most) +
                     " bytes");
  }
  // std::regex recurses for each character: the cap above bounds its stack.
  if (!key.pattern.empty() && !std::regex_match(node.text, std::regex(std::string(key.pattern)))) {
    return bad_input(describe(node) + " is not allowed for '" + std::string(key.path) + "'", "",
                     "It must match " + std::string(key.pattern) + ".");
  }
  return Json(node.text);
}

Result<Json> choice_value(const ManifestKey& key, const YamlNode& node) {
  const std::vector<std::string> choices = choices_of(key);
  for (const std::string& choice : choices) {
    if (node.text == choice) return Json(choice);
  }
  Error error = wrong_type(key, describe(node));
  if (const std::string near = nearest(node.text, choices); !near.empty()) {
    error.remedy = "Did you mean '" + near + "'?";
  }
  return error;
}

/// 010 is eight to YAML 1.1, ten to YAML 1.2, and a slip to us.
bool has_idle_zero(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return text.size() > 1 && text.front() == '0';
}

Result<Json> whole_value(const ManifestKey& key, const YamlNode& node) {
  if (has_idle_zero(node.text)) return wrong_type(key, describe(node));
  const auto number = parse_number<std::int64_t>(node.text);
  const bool fits =
      number && static_cast<double>(*number) >= key.min && static_cast<double>(*number) <= key.max;
  if (node.quoted || !fits) return wrong_type(key, describe(node));
  return Json(*number);
}

Result<Json> real_value(const ManifestKey& key, const YamlNode& node) {
  const auto number = parse_number<double>(node.text);
  if (node.quoted || !number || !std::isfinite(*number) || *number < key.min || *number > key.max) {
    return wrong_type(key, describe(node));
  }
  return Json(*number);
}

Result<Json> bool_value(const ManifestKey& key, const YamlNode& node) {
  if (!node.quoted && node.text == "true") return Json(true);
  if (!node.quoted && node.text == "false") return Json(false);
  return wrong_type(key, describe(node));
}

Result<Json> quantity_value(const ManifestKey& key, const YamlNode& node) {
  const std::size_t digits = std::min(node.text.find_first_not_of("0123456789."), node.text.size());
  const auto number = parse_number<double>(std::string_view(node.text).substr(0, digits));
  const std::string_view unit = std::string_view(node.text).substr(digits);
  constexpr std::string_view kUnits[] = {"", "k", "M", "G", "T", "", "Ki", "Mi", "Gi", "Ti"};
  for (int i = 0; number && i < 10; ++i) {
    if (unit != kUnits[i]) continue;
    const double bytes = std::round(*number * std::pow(i < 5 ? 1000.0 : 1024.0, i % 5));
    if (bytes <= 9e15) return Json(static_cast<std::int64_t>(bytes));
  }
  return wrong_type(key, describe(node));
}

/// A text of a list, or a key of a map of texts: the key's pattern holds for both.
ManifestKey as_text(ManifestKey key) {
  key.type = KeyType::kText;
  return key;
}

/// A value of a map of texts; `path` is its own.
ManifestKey as_value(ManifestKey key, std::string_view path) {
  key.type = KeyType::kText;
  key.pattern = {};
  key.path = path;
  return key;
}

Error at(Error error, std::string_view where, const YamlNode& node) {
  if (error.where.empty()) error.where = yaml_position(where, node);
  return error;
}

Result<Json> texts_value(const ManifestKey& key, const YamlNode& node, std::string_view where) {
  if (node.kind != YamlNode::Kind::kSequence) {
    return at(wrong_type(key, describe(node)), where, node);
  }
  if (node.items.size() > kMostEntries) {
    return at(bad_input("'" + std::string(key.path) + "' is too long"), where, node);
  }
  JsonArray texts;
  for (const YamlNode& item : node.items) {
    auto text = scalar_value(as_text(key), item);
    if (!text) return at(std::move(text).error(), where, item);
    texts.push_back(*std::move(text));
  }
  return Json(std::move(texts));
}

Result<Json> text_map_value(const ManifestKey& key, const YamlNode& node, std::string_view where) {
  if (node.kind != YamlNode::Kind::kMap) return at(wrong_type(key, describe(node)), where, node);
  if (node.members.size() > kMostEntries) {
    return at(bad_input("'" + std::string(key.path) + "' is too long"), where, node);
  }
  JsonObject texts;
  for (const auto& [name, value] : node.members) {
    if (auto checked = scalar_value(as_text(key), name); !checked) {
      return at(std::move(checked).error(), where, name);
    }
    const std::string path = std::string(key.path) + "." + name.text;
    auto text = scalar_value(as_value(key, path), value);
    if (!text) return at(std::move(text).error(), where, value);
    texts[name.text] = *std::move(text);
  }
  return Json(std::move(texts));
}

Error unknown_key(std::string_view section, const YamlNode& name, std::string_view where) {
  std::vector<std::string> known;
  for (const ManifestKey* key : keys_in(section)) known.emplace_back(leaf_of(key->path));
  std::string remedy;
  if (const std::string near = nearest(name.text, known); !near.empty()) {
    remedy = "Did you mean '" + near + "'?";
  } else {
    for (const std::string& key : known) remedy += (remedy.empty() ? "Known keys: " : ", ") + key;
    remedy += '.';
  }
  const std::string place = section.empty() ? "" : " in '" + std::string(section) + "'";
  return bad_input("unknown key " + describe(name) + place, yaml_position(where, name), remedy);
}

}  // namespace

Result<Json> scalar_value(const ManifestKey& key, const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kScalar) return wrong_type(key, describe(node));
  switch (key.type) {
    case KeyType::kText:
      return text_value(key, node);
    case KeyType::kChoice:
      return choice_value(key, node);
    case KeyType::kWhole:
      return whole_value(key, node);
    case KeyType::kReal:
      return real_value(key, node);
    case KeyType::kBool:
      return bool_value(key, node);
    case KeyType::kQuantity:
      return quantity_value(key, node);
    case KeyType::kSection:
    case KeyType::kTexts:
    case KeyType::kTextMap:
      break;
  }
  return wrong_type(key, describe(node));
}

Result<Json> manifest_value(const ManifestKey& key, const YamlNode& node, std::string_view where) {
  if (key.type == KeyType::kTexts) return texts_value(key, node, where);
  if (key.type == KeyType::kTextMap) return text_map_value(key, node, where);
  if (key.type == KeyType::kSection) {
    BUNDLE_TRY(JsonObject section, manifest_section(key.path, node, where));
    return Json(std::move(section));
  }
  auto value = scalar_value(key, node);
  if (!value) return at(std::move(value).error(), where, node);
  return value;
}

Result<JsonObject> manifest_section(std::string_view section, const YamlNode& node,
                                    std::string_view where) {
  JsonObject values;
  if (node.kind == YamlNode::Kind::kNull) return values;
  if (node.kind != YamlNode::Kind::kMap) {
    const std::string what = section.empty() ? "the file" : "'" + std::string(section) + "'";
    return bad_input(what + " must be a map of keys, not " + describe(node),
                     yaml_position(where, node));
  }
  for (const auto& [name, value] : node.members) {
    const std::string path = section.empty() ? name.text : std::string(section) + '.' + name.text;
    const ManifestKey* key = find_manifest_key(path);
    if (key == nullptr || leaf_of(path) != name.text) return unknown_key(section, name, where);
    BUNDLE_TRY(Json converted, manifest_value(*key, value, where));
    values[name.text] = std::move(converted);
  }
  return values;
}

}  // namespace bundle::packager
