#include "runtime/server/field_reader.h"

#include <cmath>
#include <fmt/format.h>

namespace bundle::server {

std::optional<std::int64_t> whole_number(const Json& value) {
  if (const auto* n = value.if_int64()) return *n;
  if (const auto* d = value.if_double();
      d != nullptr && *d == std::floor(*d) && std::abs(*d) < 9e15) {
    return static_cast<std::int64_t>(*d);
  }
  return std::nullopt;
}

const Json* FieldReader::get(std::string_view key) const {
  const Json* member = body_.if_contains(key);
  return member == nullptr || member->is_null() ? nullptr : member;
}

std::optional<double> FieldReader::number(std::string_view key, double least, double most) {
  const Json* member = get(key);
  if (member == nullptr) return std::nullopt;
  if (!member->is_number()) {
    wrong_type(key, "a number");
    return std::nullopt;
  }
  const auto value = member->to_number<double>();
  if (value >= least && value <= most) return value;
  fail(invalid_field(std::string(key), fmt::format("'{}' must be between {} and {}, got {}.", key,
                                                   least, most, value)));
  return std::nullopt;
}

std::optional<std::int64_t> FieldReader::integer(std::string_view key, std::int64_t least,
                                                 std::int64_t most) {
  const Json* member = get(key);
  if (member == nullptr) return std::nullopt;
  if (!member->is_number()) {
    wrong_type(key, "a whole number");
    return std::nullopt;
  }
  const auto value = whole_number(*member);
  if (value && *value >= least && *value <= most) return value;
  if (!value && member->is_double() && std::abs(member->get_double()) < 9e15) {
    wrong_type(key, "a whole number");
  } else {
    fail(invalid_field(std::string(key), fmt::format("'{}' must be between {} and {}, got {}.", key,
                                                     least, most, print_json(*member))));
  }
  return std::nullopt;
}

std::optional<bool> FieldReader::boolean(std::string_view key) {
  const Json* member = get(key);
  if (member == nullptr) return std::nullopt;
  if (member->is_bool()) return member->get_bool();
  wrong_type(key, "true or false");
  return std::nullopt;
}

std::optional<std::string> FieldReader::string(std::string_view key) {
  const Json* member = get(key);
  if (member == nullptr) return std::nullopt;
  if (member->is_string()) return std::string(member->get_string());
  wrong_type(key, "a string");
  return std::nullopt;
}

const JsonObject* FieldReader::object(std::string_view key) {
  const Json* member = get(key);
  if (member == nullptr) return nullptr;
  if (!member->is_object()) wrong_type(key, "an object");
  return member->if_object();
}

const JsonArray* FieldReader::array(std::string_view key) {
  const Json* member = get(key);
  if (member == nullptr) return nullptr;
  if (!member->is_array()) wrong_type(key, "a list");
  return member->if_array();
}

void FieldReader::fail(ApiError error) {
  if (!error_) error_ = std::move(error);
}

void FieldReader::wrong_type(std::string_view key, const char* wanted) {
  fail(invalid_field(std::string(key), fmt::format("'{}' must be {}.", key, wanted),
                     "invalid_type"));
}

}  // namespace bundle::server
