// Jinja's tests: what stands behind `is`.
#include <unordered_map>

#include "runtime/chat/builtins.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/parameters.h"
#include "runtime/chat/repr.h"

namespace bundle::chat {
namespace {

Result<Value> unary(Arguments args, bool (*check)(const Value&)) {
  BUNDLE_TRY(const auto p, Parameters::bind("the test", {"value"}, 1, std::move(args)));
  return Value(check(p.at(0)));
}

/// A test that only looks at the value.
template <bool (*kCheck)(const Value&)>
Result<Value> looks(Runtime&, Arguments args) {
  return unary(std::move(args), kCheck);
}

template <Kind kKind>
bool has_kind(const Value& value) {
  return value.is(kKind);
}

bool is_defined(const Value& value) { return !value.is(Kind::kUndefined); }
bool is_false(const Value& value) { return value.is(Kind::kBool) && !value.boolean(); }
bool is_true(const Value& value) { return value.is(Kind::kBool) && value.boolean(); }
bool is_number(const Value& value) { return value.is_number(); }
bool is_escaped(const Value& value) { return value.is(Kind::kString) && value.text().markup; }
bool is_callable(const Value& value) {
  return value.is(Kind::kUndefined) || (value.is(Kind::kObject) && value.object()->is_callable());
}
bool is_sequence(const Value& value) {
  return value.is_sequence() || value.is(Kind::kString) || value.is(Kind::kDict) ||
         value.is(Kind::kUndefined) || value.as<Range>() != nullptr;
}

Result<Value> test_iterable(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("iterable", {"value"}, 1, std::move(args)));
  return Value(is_iterable(rt, p.at(0)));
}

template <CompareOp kOp>
Result<Value> compares(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("the test", {"a", "b"}, 2, std::move(args)));
  BUNDLE_TRY(const bool result, compare(rt, kOp, p.at(0), p.at(1)));
  return Value(result);
}

Result<Value> test_in(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("in", {"value", "seq"}, 2, std::move(args)));
  BUNDLE_TRY(const bool found, contains(rt, p.at(1), p.at(0)));
  return Value(found);
}

Result<Value> test_same_as(Runtime&, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("sameas", {"value", "other"}, 2, std::move(args)));
  return Value(p.at(0).same_as(p.at(1)));
}

Result<Value> remainder_is(Runtime& rt, const Value& a, const Value& b, std::int64_t wanted) {
  BUNDLE_TRY(const Value rest, binary(rt, BinaryOp::kModulo, a, b));
  BUNDLE_TRY(const bool same, equal(rt, rest, Value::integer(wanted)));
  return Value(same);
}

template <int kRest>
Result<Value> test_parity(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("odd or even", {"value"}, 1, std::move(args)));
  return remainder_is(rt, p.at(0), Value::integer(2), kRest);
}

Result<Value> test_divisible(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("divisibleby", {"value", "num"}, 2, std::move(args)));
  return remainder_is(rt, p.at(0), p.at(1), 0);
}

Result<Value> ask_text(Runtime& rt, Arguments args, const char* method) {
  BUNDLE_TRY(const auto p, Parameters::bind(method, {"value"}, 1, std::move(args)));
  BUNDLE_TRY(const Value text, to_text(rt, p.at(0)));
  return find_string_method(method)(rt, text, {});
}

Result<Value> test_lower(Runtime& rt, Arguments args) {
  return ask_text(rt, std::move(args), "islower");
}
Result<Value> test_upper(Runtime& rt, Arguments args) {
  return ask_text(rt, std::move(args), "isupper");
}

Result<Value> known(Arguments args, BuiltinFunction (*find)(std::string_view)) {
  BUNDLE_TRY(const auto p, Parameters::bind("the test", {"value"}, 1, std::move(args)));
  if (!is_hashable(p.at(0))) return render_error("unhashable type in a test for a name");
  return Value(p.at(0).is(Kind::kString) && find(p.at(0).str()) != nullptr);
}

Result<Value> test_filter(Runtime&, Arguments args) { return known(std::move(args), find_filter); }
Result<Value> test_test(Runtime&, Arguments args) { return known(std::move(args), find_test); }

}  // namespace

BuiltinFunction find_test(std::string_view name) {
  static const std::unordered_map<std::string_view, BuiltinFunction> kTests = {
      {"odd", test_parity<1>},
      {"even", test_parity<0>},
      {"divisibleby", test_divisible},
      {"defined", looks<is_defined>},
      {"undefined", looks<has_kind<Kind::kUndefined>>},
      {"filter", test_filter},
      {"test", test_test},
      {"none", looks<has_kind<Kind::kNone>>},
      {"boolean", looks<has_kind<Kind::kBool>>},
      {"false", looks<is_false>},
      {"true", looks<is_true>},
      {"integer", looks<has_kind<Kind::kInt>>},
      {"float", looks<has_kind<Kind::kFloat>>},
      {"lower", test_lower},
      {"upper", test_upper},
      {"string", looks<has_kind<Kind::kString>>},
      {"mapping", looks<has_kind<Kind::kDict>>},
      {"number", looks<is_number>},
      {"sequence", looks<is_sequence>},
      {"iterable", test_iterable},
      {"callable", looks<is_callable>},
      {"sameas", test_same_as},
      {"escaped", looks<is_escaped>},
      {"in", test_in},
      {"==", compares<CompareOp::kEqual>},
      {"eq", compares<CompareOp::kEqual>},
      {"equalto", compares<CompareOp::kEqual>},
      {"!=", compares<CompareOp::kNotEqual>},
      {"ne", compares<CompareOp::kNotEqual>},
      {">", compares<CompareOp::kGreater>},
      {"gt", compares<CompareOp::kGreater>},
      {"greaterthan", compares<CompareOp::kGreater>},
      {"ge", compares<CompareOp::kGreaterEqual>},
      {">=", compares<CompareOp::kGreaterEqual>},
      {"<", compares<CompareOp::kLess>},
      {"lt", compares<CompareOp::kLess>},
      {"lessthan", compares<CompareOp::kLess>},
      {"<=", compares<CompareOp::kLessEqual>},
      {"le", compares<CompareOp::kLessEqual>}};
  const auto at = kTests.find(name);
  return at == kTests.end() ? nullptr : at->second;
}

}  // namespace bundle::chat
