// GGUF v2 and v3: header, metadata and tensor table, checked against the bytes that are there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "runtime/format/tensor.h"

namespace bundle::format {

/// A metadata value. Strings and arrays of strings are copied; numbers are widened.
using GgufValue = std::variant<std::uint64_t, std::int64_t, double, bool, std::string,
                               std::vector<std::uint64_t>, std::vector<std::int64_t>,
                               std::vector<double>, std::vector<bool>, std::vector<std::string>>;

/// Metadata of one GGUF file. Thread-safe when const.
class GgufMetadata {
 public:
  explicit GgufMetadata(std::map<std::string, GgufValue, std::less<>> values)
      : values_(std::move(values)) {}

  const std::map<std::string, GgufValue, std::less<>>& values() const { return values_; }
  const GgufValue* find(std::string_view key) const;

  /// Typed lookups; integers of either sign convert when they fit. The `_or` forms give `fallback`
  /// when the key is absent, and an error when it has another type.
  Result<std::int64_t> get_int(std::string_view key) const;
  Result<std::int64_t> get_int_or(std::string_view key, std::int64_t fallback) const;
  Result<double> get_double_or(std::string_view key, double fallback) const;
  Result<bool> get_bool_or(std::string_view key, bool fallback) const;
  Result<std::string> get_string(std::string_view key) const;
  Result<std::string> get_string_or(std::string_view key, std::string fallback) const;
  /// Null when absent or of another type.
  const std::vector<std::string>* find_strings(std::string_view key) const;
  /// Errors when absent or of another type. An array of integers also converts to doubles.
  Result<std::vector<std::int64_t>> get_ints(std::string_view key) const;
  Result<std::vector<double>> get_doubles(std::string_view key) const;

 private:
  std::map<std::string, GgufValue, std::less<>> values_;
};

struct GgufFile {
  std::uint32_t version = 3;
  GgufMetadata metadata;
  std::vector<TensorView> tensors;  // in the table's order; their data lies inside the file
};

/// Parses a whole file. `where` names it in errors. Counts are capped by the bytes left before any
/// memory is taken; unknown tensor types, misaligned, overlapping or overrunning tensors, and a
/// key or tensor name that comes twice are refused.
Result<GgufFile> parse_gguf(Bytes file, std::string_view where);

}  // namespace bundle::format
