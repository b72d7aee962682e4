// Filters on numbers and on values of any kind.
#include <cmath>
#include <unordered_map>

#include "runtime/chat/filters.h"
#include "runtime/chat/lookup.h"
#include "runtime/chat/number.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/parameters.h"

namespace bundle::chat {
namespace {

Result<Value> filter_abs(Runtime&, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("abs", {""}, 1, std::move(args)));
  const Value& x = p.at(0);
  if (x.is(Kind::kUndefined)) return undefined_error(x);
  if (x.is(Kind::kFloat)) return Value(std::abs(x.real()));
  if (!x.is_integral()) return render_error("abs wants a number");
  if (x.integral() < 0) return negate(x);
  return Value(x.integral());
}

Result<Value> filter_attr(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("attr", {"obj", "name"}, 2, std::move(args)));
  if (!p.at(1).is(Kind::kString)) return render_error("attr wants a string");
  const std::string& name = p.at(1).str();
  if (p.at(0).is(Kind::kUndefined)) return undefined_error(p.at(0));
  BUNDLE_TRY(const bool found, has_attribute(rt, p.at(0), name));
  if (found) return get_attribute(rt, p.at(0), name);
  return Value::undefined("'" + std::string(type_name(p.at(0))) + " object' has no attribute '" +
                          name + "'");
}

Result<Value> filter_default(Runtime&, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("default", {"value", "default_value", "boolean"}, 1,
                                            std::move(args)));
  if (p.at(0).is(Kind::kUndefined) || (p.flag(2) && !truthy(p.at(0)))) {
    return p.value_or(1, Value::text(""));
  }
  return p.at(0);
}

/// int(float(text)), where that is a number.
std::optional<Int> int_of_float_text(std::string_view text) {
  const auto real = parse_float(text);
  return real ? truncate_float(*real) : std::nullopt;
}

Result<Value> filter_int(Runtime&, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("int", {"value", "default", "base"}, 1, std::move(args)));
  BUNDLE_TRY(const Int base, p.integer(2, 10));
  const Value& x = p.at(0);
  if (x.is(Kind::kUndefined)) return undefined_error(x);
  std::optional<Int> result;
  if (x.is_integral()) result = x.integral();
  if (x.is(Kind::kString)) {
    result = parse_int(x.str(), base < 0 || base > 36 ? 99 : static_cast<int>(base));
    if (!result) result = int_of_float_text(x.str());
  }
  if (x.is(Kind::kFloat)) {
    result = truncate_float(x.real());
    if (!result && !std::isnan(x.real())) return render_error("the float is too large for int");
  }
  if (result) return Value(*result);
  return p.value_or(1, Value::integer(0));
}

Result<Value> filter_float(Runtime&, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("float", {"value", "default"}, 1, std::move(args)));
  const Value& x = p.at(0);
  if (x.is(Kind::kUndefined)) return undefined_error(x);
  if (x.is_number()) return Value(x.real());
  if (x.is(Kind::kString)) {
    if (const auto real = parse_float(x.str())) return Value(*real);
  }
  return p.value_or(1, Value(0.0));
}

Result<int> precision_of(const Parameters& p) {
  BUNDLE_TRY(const Int precision, p.integer(1, 0));
  return static_cast<int>(std::max(Int{-400}, std::min(precision, Int{400})));
}

Result<Value> round_common(const Parameters& p) {
  const Value& x = p.at(0);
  BUNDLE_TRY(const int precision, precision_of(p));
  if (x.is_integral()) return Value(round_int(x.integral(), precision));
  const double rounded = round_float(x.real(), precision);
  if (!p.has(1) || !p.at(1).is(Kind::kNone)) return Value(rounded);
  const auto whole = truncate_float(rounded);
  if (!whole) return render_error("cannot convert the float to an integer");
  return Value(*whole);
}

Result<Value> filter_round(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("round", {"value", "precision", "method"}, 1, std::move(args)));
  BUNDLE_TRY(const std::string method, p.text(2, "common"));
  if (method != "common" && method != "ceil" && method != "floor") {
    return render_error("method must be common, ceil or floor");
  }
  const Value& x = p.at(0);
  if (x.is(Kind::kUndefined)) return undefined_error(x);
  if (!x.is_number()) return render_error("round wants a number");
  if (method == "common") return round_common(p);
  // math.ceil(value * 10**precision) / 10**precision
  const Value ten = Value::integer(10);
  BUNDLE_TRY(const Value scale, power(ten, p.value_or(1, Value::integer(0))));
  BUNDLE_TRY(const Value scaled, binary(rt, BinaryOp::kMultiply, x, scale));
  if (scaled.is_integral()) return divide(scaled, scale);
  const double edge = method == "ceil" ? std::ceil(scaled.real()) : std::floor(scaled.real());
  if (!std::isfinite(edge)) return render_error("cannot round an infinite number");
  const auto whole = truncate_float(edge);
  return divide(whole ? Value(*whole) : Value(edge), scale);
}

Result<Value> filter_filesize(Runtime&, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("filesizeformat", {"value", "binary"}, 1, std::move(args)));
  const Value& x = p.at(0);
  const auto bytes = x.is_number()         ? std::optional(x.real())
                     : x.is(Kind::kString) ? parse_float(x.str())
                                           : std::nullopt;
  if (!bytes) return render_error("filesizeformat wants a number");
  const double base = p.flag(1) ? 1024 : 1000;
  if (*bytes == 1) return Value::text("1 Byte");
  if (*bytes < base) return Value::text(print_int(static_cast<Int>(*bytes)) + " Bytes");
  constexpr const char* kPrefixes = "kMGTPEZY";
  double unit = base * base;
  int i = 0;
  for (; i < 7 && *bytes >= unit; ++i) unit *= base;
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.1f ", base * *bytes / unit);
  const std::string prefix(1, p.flag(1) && i == 0 ? 'K' : kPrefixes[i]);
  return Value::text(buffer + prefix + (p.flag(1) ? "iB" : "B"));
}

}  // namespace

BuiltinFunction find_scalar_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, BuiltinFunction> kFilters = {
      {"abs", filter_abs},     {"attr", filter_attr},
      {"d", filter_default},   {"int", filter_int},
      {"float", filter_float}, {"default", filter_default},
      {"round", filter_round}, {"filesizeformat", filter_filesize}};
  const auto at = kFilters.find(name);
  return at == kFilters.end() ? nullptr : at->second;
}

}  // namespace bundle::chat
