#include "runtime/format/gguf_split.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace bundle::format {
namespace {

constexpr std::string_view kExtension = ".gguf";

/// Exactly five digits, as the splitter writes them.
std::optional<int> five_digits(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.size() != 5 || error != std::errc() || end != text.data() + 5) return std::nullopt;
  return value;
}

std::vector<std::string> gguf_names(const ModelSource& source) {
  std::vector<std::string> names;
  for (const SourceFile& file : source.files()) {
    if (file.name.ends_with(kExtension)) names.push_back(file.name);
  }
  return names;
}

Error several_models(const std::vector<std::string>& names) {
  return bad_input("the folder holds more than one GGUF model: '" + names.front() + "' and '" +
                       names.back() + "'",
                   {}, "Name the file to use.");
}

}  // namespace

std::optional<SplitName> parse_split_name(std::string_view name) {
  // "-00001-of-00003.gguf"
  constexpr std::size_t tail = 1 + 5 + 4 + 5 + kExtension.size();
  if (name.size() <= tail || !name.ends_with(kExtension)) return std::nullopt;
  const std::string_view part = name.substr(name.size() - tail);
  const auto number = five_digits(part.substr(1, 5));
  const auto count = five_digits(part.substr(10, 5));
  if (part[0] != '-' || part.substr(6, 4) != "-of-" || !number || !count) return std::nullopt;
  if (*number < 1 || *number > *count) return std::nullopt;
  return SplitName{std::string(name.substr(0, name.size() - tail)), *number, *count};
}

std::string split_name(std::string_view prefix, int number, int count) {
  char tail[40];
  std::snprintf(tail, sizeof tail, "-%05d-of-%05d.gguf", number, count);
  return std::string(prefix) + tail;
}

Result<std::vector<std::string>> gguf_parts(const ModelSource& source) {
  const std::vector<std::string> names = gguf_names(source);
  if (names.empty()) return not_found("the model has no .gguf file");
  const auto split = parse_split_name(names.front());
  if (!split) {
    if (names.size() > 1) return several_models(names);
    return names;
  }
  std::vector<std::string> parts;
  for (int number = 1; number <= split->count; ++number) {
    const std::string part = split_name(split->prefix, number, split->count);
    if (source.find(part) == nullptr) {
      return bad_input("the file '" + part + "' of the split model is missing", {},
                       "Put all parts into one folder.");
    }
    parts.push_back(part);
  }
  if (names.size() > parts.size()) return several_models(names);
  return parts;
}

Status check_split(const GgufMetadata& metadata, std::size_t number, std::size_t count,
                   std::string_view where) {
  BUNDLE_TRY(const std::int64_t said_count, metadata.get_int_or("split.count", 0));
  BUNDLE_TRY(const std::int64_t said_number, metadata.get_int_or("split.no", 0));
  if (count == 1 && said_count <= 1) return {};
  if (said_count != static_cast<std::int64_t>(count)) {
    return bad_input("the file says that the model has " + std::to_string(said_count) +
                         " parts (split.count), but " + std::to_string(count) + " are here",
                     std::string(where), "Keep the names and all parts of the split model.");
  }
  if (said_number != static_cast<std::int64_t>(number) - 1) {
    return bad_input("the file says that it is part " + std::to_string(said_number + 1) +
                         " (split.no), but its name says " + std::to_string(number),
                     std::string(where), "Keep the names of the split model's parts.");
  }
  return {};
}

Status check_split_total(const GgufMetadata& first, std::size_t tensors, std::string_view where) {
  BUNDLE_TRY(const std::int64_t said,
             first.get_int_or("split.tensors.count", static_cast<std::int64_t>(tensors)));
  if (said == static_cast<std::int64_t>(tensors)) return {};
  return bad_input("the parts hold " + std::to_string(tensors) + " tensors, but the first says " +
                       std::to_string(said) + " (split.tensors.count)",
                   std::string(where), "The parts do not belong together; fetch them again.");
}

}  // namespace bundle::format
