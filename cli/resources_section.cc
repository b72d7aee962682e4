#include "cli/resources_section.h"

#include <algorithm>
#include <vector>

#include "base/file.h"
#include "packager/manifest.h"

namespace bundle::cli {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    lines.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return lines;
}

bool is_top_level(const std::string& line) {
  return !line.empty() && line[0] != ' ' && line[0] != '#' && line[0] != '\r';
}

/// The first part of "  key: value", or "".
std::string key_of(const std::string& line) {
  const std::size_t first = line.find_first_not_of(' ');
  const std::size_t colon = line.find(':');
  if (first == std::string::npos || colon == std::string::npos || line[first] == '#') return "";
  return line.substr(first, colon - first);
}

std::string entry(std::string_view key, const Json& value) {
  const std::string text = value.is_string() ? std::string(value.get_string()) : print_json(value);
  return "  " + std::string(key) + ": " + text;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace

Result<std::string> with_resources(const std::string& text, const JsonObject& resources,
                                   std::string_view where) {
  BUNDLE_TRY(const packager::Manifest before, packager::parse_manifest(text, where));
  std::vector<std::string> out;
  bool inside = false;
  bool written = false;
  const auto write = [&] {
    for (const auto& [key, value] : resources) out.push_back(entry(key, value));
    written = true;
  };
  for (const std::string& line : lines_of(text)) {
    if (is_top_level(line)) inside = key_of(line) == "resources";
    if (is_top_level(line) && inside) {
      const std::string rest = line.substr(line.find(':') + 1);
      const std::size_t value = rest.find_first_not_of(" \r");
      if (value != std::string::npos && rest[value] != '#') {
        return bad_input("'resources' is written on one line", std::string(where),
                         "Write each of its keys on a line of its own.");
      }
      out.push_back(line);
      write();
      continue;
    }
    if (inside && resources.contains(key_of(line))) continue;
    out.push_back(line);
  }
  if (!written) {
    if (!out.empty() && !out.back().empty()) out.emplace_back();
    out.emplace_back("resources:");
    write();
  }
  std::string result = joined(out);
  BUNDLE_TRY(const packager::Manifest after, packager::parse_manifest(result, where));
  return result;
}

Status write_resources(const std::string& file, const JsonObject& resources) {
  BUNDLE_TRY(const std::string text, read_file(file, 1u << 20));
  BUNDLE_TRY(const std::string changed, with_resources(text, resources, file));
  // A link goes on pointing at what it pointed at.
  std::error_code none;
  const Path target = std::filesystem::canonical(file, none);
  return write_file_atomic(none ? Path(file) : target, changed);
}

}  // namespace bundle::cli
