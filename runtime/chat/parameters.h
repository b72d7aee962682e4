// Matching the arguments of a call to the parameters of a built-in function.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

/// A name to call a parameter by; Python's positional-only ones have the empty name.
using ParameterNames = std::initializer_list<std::string_view>;

/// The values of one call, in the order of the names.
class Parameters {
 public:
  /// An error, as Python's TypeError, when `required` are not there, or one is too many, unknown or
  /// given twice.
  static Result<Parameters> bind(std::string_view function, ParameterNames names,
                                 std::size_t required, Arguments args);

  bool has(std::size_t i) const { return values_[i].has_value(); }
  /// Given and not None.
  bool is_set(std::size_t i) const { return has(i) && !values_[i]->is(Kind::kNone); }
  const Value& at(std::size_t i) const { return *values_[i]; }
  Value value_or(std::size_t i, Value fallback) const {
    if (has(i)) return *values_[i];
    return fallback;
  }
  bool flag(std::size_t i) const { return has(i) && truthy(*values_[i]); }

  /// Typed lookups; an error when the type is another. None and absent give the fallback.
  Result<Int> integer(std::size_t i, Int fallback) const;
  Result<std::string> text(std::size_t i, std::string_view fallback) const;

 private:
  std::string function_;
  std::vector<std::optional<Value>> values_;
};

}  // namespace bundle::chat
