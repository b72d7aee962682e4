// What Python's operators and protocols do with values: arithmetic, comparison, lookup, iteration.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {

enum class BinaryOp : std::uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower
};
enum class CompareOp : std::uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

/// a op b. Undefined operands raise their own error.
Result<Value> binary(Runtime& rt, BinaryOp op, const Value& a, const Value& b);
Result<Value> negate(const Value& a);
Result<Value> plus(const Value& a);

Result<bool> compare(Runtime& rt, CompareOp op, const Value& a, const Value& b);
Result<bool> equal(Runtime& rt, const Value& a, const Value& b);
Result<bool> less(Runtime& rt, const Value& a, const Value& b);
/// needle in container.
Result<bool> contains(Runtime& rt, const Value& container, const Value& needle);

/// iter(value).
Result<CursorPtr> iterate(Runtime& rt, const Value& value);
bool is_iterable(Runtime& rt, const Value& value);
/// list(value), at most what the budgets allow.
Result<std::vector<Value>> to_items(Runtime& rt, const Value& value);
/// len(value), or nothing when it has none.
Result<std::optional<std::size_t>> find_length(Runtime& rt, const Value& value);
Result<std::size_t> length_of(Runtime& rt, const Value& value);

/// callee(*args). The callee must outlive the call: a template may drop its own reference in it.
Result<Value> call(Runtime& rt, const Value& callee, Arguments args);

/// The error of using an undefined value.
Error undefined_error(const Value& value);

}  // namespace bundle::chat
