#include <limits>

#include "runtime/format/gguf.h"

namespace bundle::format {
namespace {

Error missing(std::string_view key) {
  return bad_input("the metadata key '" + std::string(key) + "' is missing");
}

Error wrong_type(std::string_view key, const char* wanted) {
  return bad_input("the metadata key '" + std::string(key) + "' is not " + wanted);
}

std::optional<std::int64_t> signed_value(const GgufValue& value) {
  if (const auto* n = std::get_if<std::int64_t>(&value)) return *n;
  const auto* n = std::get_if<std::uint64_t>(&value);
  if (n == nullptr || *n > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  return static_cast<std::int64_t>(*n);
}

}  // namespace

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto at = values_.find(key);
  return at == values_.end() ? nullptr : &at->second;
}

Result<std::int64_t> GgufMetadata::get_int(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto number = signed_value(*value)) return *number;
  return wrong_type(key, "a whole number below 2^63");
}

Result<std::int64_t> GgufMetadata::get_int_or(std::string_view key, std::int64_t fallback) const {
  if (find(key) == nullptr) return fallback;
  return get_int(key);
}

Result<double> GgufMetadata::get_double_or(std::string_view key, double fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto number = signed_value(*value)) return static_cast<double>(*number);
  return wrong_type(key, "a number");
}

Result<bool> GgufMetadata::get_bool_or(std::string_view key, bool fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return wrong_type(key, "true or false");
}

Result<std::string> GgufMetadata::get_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  return wrong_type(key, "a string");
}

Result<std::string> GgufMetadata::get_string_or(std::string_view key, std::string fallback) const {
  if (find(key) == nullptr) return fallback;
  return get_string(key);
}

const std::vector<std::string>* GgufMetadata::find_strings(std::string_view key) const {
  const GgufValue* value = find(key);
  return value == nullptr ? nullptr : std::get_if<std::vector<std::string>>(value);
}

Result<std::vector<std::int64_t>> GgufMetadata::get_ints(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto* numbers = std::get_if<std::vector<std::int64_t>>(value)) return *numbers;
  const auto* numbers = std::get_if<std::vector<std::uint64_t>>(value);
  if (numbers == nullptr) return wrong_type(key, "an array of whole numbers");
  std::vector<std::int64_t> converted;
  converted.reserve(numbers->size());
  for (const std::uint64_t n : *numbers) {
    if (n > std::numeric_limits<std::int64_t>::max()) {
      return wrong_type(key, "an array of whole numbers below 2^63");
    }
    converted.push_back(static_cast<std::int64_t>(n));
  }
  return converted;
}

Result<std::vector<double>> GgufMetadata::get_doubles(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return missing(key);
  if (const auto* numbers = std::get_if<std::vector<double>>(value)) return *numbers;
  const Result<std::vector<std::int64_t>> integers = get_ints(key);
  if (integers.has_error()) return wrong_type(key, "an array of numbers");
  return std::vector<double>(integers->begin(), integers->end());
}

}  // namespace bundle::format
