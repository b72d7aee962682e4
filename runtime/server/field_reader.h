// Typed reading of a request body's fields. OpenAI's clients send null for what is not set, so null
// counts as absent everywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "runtime/server/api_error.h"

namespace bundle::server {

/// Reads members of one object. The first thing that is wrong is kept and the rest of the readings
/// give nothing, so that callers read all and check once.
class FieldReader {
 public:
  /// `body` must outlive the reader.
  explicit FieldReader(const JsonObject& body) : body_(body) {}

  /// The member, or null when it is absent or JSON null.
  const Json* get(std::string_view key) const;

  std::optional<double> number(std::string_view key, double least, double most);
  /// 5.0 is a whole number, 5.5, "5" and true are none.
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<bool> boolean(std::string_view key);
  std::optional<std::string> string(std::string_view key);
  const JsonObject* object(std::string_view key);
  const JsonArray* array(std::string_view key);

  /// Keeps `error` unless there is one already.
  void fail(ApiError error);
  const std::optional<ApiError>& error() const { return error_; }

 private:
  void wrong_type(std::string_view key, const char* wanted);

  const JsonObject& body_;
  std::optional<ApiError> error_;
};

/// A JSON number without a fraction that fits in 64 bits.
std::optional<std::int64_t> whole_number(const Json& value);

}  // namespace bundle::server
