#include "cli/yaml_document.h"

#include <charconv>
#include <cmath>

#include "base/file.h"
#include "packager/yaml.h"

namespace bundle::cli {
namespace {

constexpr std::uint64_t kMostBytes = 16u << 20;

template <typename T>
bool whole_number(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

Json scalar(const packager::YamlNode& node) {
  if (node.quoted) return Json(node.text);
  if (node.text == "true" || node.text == "false") return Json(node.text == "true");
  if (node.text == "null" || node.text == "~") return nullptr;
  std::int64_t integer = 0;
  if (whole_number(node.text, integer)) return Json(integer);
  double real = 0;
  if (whole_number(node.text, real) && std::isfinite(real)) return Json(real);
  return Json(node.text);
}

Json value(const packager::YamlNode& node) {
  using Kind = packager::YamlNode::Kind;
  if (node.kind == Kind::kNull) return nullptr;
  if (node.kind == Kind::kScalar) return scalar(node);
  if (node.kind == Kind::kSequence) {
    JsonArray list;
    for (const auto& item : node.items) list.push_back(value(item));
    return list;
  }
  JsonObject map;
  for (const auto& member : node.members) map[member.key.text] = value(member.value);
  return map;
}

}  // namespace

Result<Json> parse_document(std::string_view text, std::string_view where) {
  if (where.ends_with(".json")) return parse_json(text, where);
  BUNDLE_TRY(const packager::YamlNode node, packager::parse_yaml(text, where));
  return value(node);
}

Result<Json> read_document(const std::string& path) {
  BUNDLE_TRY(const std::string text, read_file(path, kMostBytes));
  return parse_document(text, path);
}

}  // namespace bundle::cli
