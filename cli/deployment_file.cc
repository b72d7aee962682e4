#include "cli/deployment_file.h"

#include "base/text.h"
#include "packager/manifest_value.h"
#include "packager/yaml.h"

namespace bundle::cli {
namespace {

using packager::YamlNode;

/// The document while it is read: where errors point, and what is filled.
struct Reader {
  std::string where;
  DeploymentFile file;

  Error error(const YamlNode& node, std::string what, std::string remedy = {}) const {
    return bad_input(std::move(what), packager::yaml_position(where, node), std::move(remedy));
  }
};

Result<std::string> text_of(const Reader& reader, const YamlNode& key, const YamlNode& value) {
  if (value.kind != YamlNode::Kind::kScalar)
    return reader.error(value, "'" + key.text + "' is not a text");
  return value.text;
}

Result<int> number_of(const Reader& reader, const YamlNode& key, const YamlNode& value, int most) {
  const std::string wanted =
      "'" + key.text + "' is not a whole number from 0 to " + std::to_string(most);
  const std::string& text = value.text;
  const bool digits = !text.empty() && text.size() <= 9 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  if (value.kind != YamlNode::Kind::kScalar || value.quoted || !digits)
    return reader.error(value, wanted);
  const int number = std::stoi(text);
  if (number > most) return reader.error(value, wanted);
  return number;
}

Status read_environment(Reader& reader, const YamlNode& key, const YamlNode& value) {
  if (value.kind != YamlNode::Kind::kMap)
    return reader.error(value, "'" + key.text + "' is not a map");
  for (const auto& [name, text] : value.members) {
    BUNDLE_TRY(std::string content, text_of(reader, name, text));
    reader.file.environment.emplace_back(name.text, std::move(content));
  }
  return {};
}

Status read_replicas(Reader& reader, const YamlNode& key, const YamlNode& value) {
  BUNDLE_TRY(const int replicas, number_of(reader, key, value, 1'000'000));
  if (replicas == 1) return {};
  return reader.error(value, "the target 'local' runs one replica", "Set replicas to 1.");
}

Status read_key(Reader& reader, const YamlNode& key, const YamlNode& value) {
  DeploymentFile& file = reader.file;
  const auto text = [&](std::string& into) -> Status {
    BUNDLE_TRY(into, text_of(reader, key, value));
    return {};
  };
  const auto number = [&](int& into, int most) -> Status {
    BUNDLE_TRY(into, number_of(reader, key, value, most));
    return {};
  };
  if (key.text == "name") return text(file.name);
  if (key.text == "target") return text(file.target);
  if (key.text == "bundle") return text(file.bundle);
  if (key.text == "host") return text(file.host);
  if (key.text == "api_key_file") return text(file.api_key_file);
  if (key.text == "port") return number(file.port, 65535);
  if (key.text == "drain_seconds") return number(file.drain_seconds, 86400);
  if (key.text == "replicas") return read_replicas(reader, key, value);
  if (key.text == "env") return read_environment(reader, key, value);
  if (key.text == "runtime") {
    BUNDLE_TRY(file.runtime, packager::manifest_section("runtime", value, reader.where));
    return {};
  }
  static const std::vector<std::string> known = {
      "name",          "target",       "bundle",   "host", "port",
      "drain_seconds", "api_key_file", "replicas", "env",  "runtime"};
  const std::string near = nearest(key.text, known);
  return reader.error(key, "unknown key '" + key.text + "'",
                      near.empty() ? "" : "Did you mean '" + near + "'?");
}

}  // namespace

Result<DeploymentFile> read_deployment_file(const Path& path) {
  constexpr std::uint64_t kCap = 1u << 20;
  BUNDLE_TRY(const std::string text, read_file(path, kCap));
  Reader reader{path.string(), {}};
  BUNDLE_TRY(const YamlNode root, packager::parse_yaml(text, reader.where));
  if (root.kind != YamlNode::Kind::kMap)
    return reader.error(root, "a deployment file is a map of keys");
  for (const auto& [key, value] : root.members) BUNDLE_CHECK(read_key(reader, key, value));
  return std::move(reader.file);
}

}  // namespace bundle::cli
