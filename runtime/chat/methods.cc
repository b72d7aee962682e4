#include "runtime/chat/methods.h"

#include <cmath>
#include <unordered_map>

#include "runtime/chat/number.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/parameters.h"

namespace bundle::chat {
namespace {

using Table = std::unordered_map<std::string_view, Method>;

Result<Value> dict_get(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("get", {"", ""}, 1, std::move(args)));
  if (!is_hashable(p.at(0))) {
    return render_error("unhashable type: '" + std::string(type_name(p.at(0))) + "'");
  }
  BUNDLE_CHECK(rt.spend(1));
  const Value* found = self.dict().find(p.at(0));
  return found != nullptr ? *found : p.value_or(1, Value());
}

template <DictView::Part kPart>
Result<Value> dict_view(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("the method", {}, 0, std::move(args)));
  return rt.view(self, kPart);
}

Result<Value> copy(Runtime&, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("copy", {}, 0, std::move(args)));
  return self;
}

Result<Value> count_items(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("count", {""}, 1, std::move(args)));
  BUNDLE_TRY(const CursorPtr cursor, iterate(rt, self));
  std::int64_t count = 0;
  while (true) {
    BUNDLE_TRY(const auto item, cursor->next(rt));
    if (!item) return Value::integer(count);
    BUNDLE_TRY(const bool same, equal(rt, *item, p.at(0)));
    count += same ? 1 : 0;
  }
}

Result<Value> index_of_item(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("index", {"", "", ""}, 1, std::move(args)));
  if (p.has(1) && self.is(Kind::kObject)) return render_error("range.index() takes one argument");
  BUNDLE_TRY(const auto length, length_of(rt, self));
  const Int size = static_cast<Int>(length);
  BUNDLE_TRY(Int start, p.integer(1, 0));
  BUNDLE_TRY(Int stop, p.integer(2, size));
  if (start < 0) start += size;
  if (stop < 0) stop += size;
  BUNDLE_TRY(const CursorPtr cursor, iterate(rt, self));
  for (Int i = 0; i < size && i < stop; ++i) {
    BUNDLE_TRY(const auto item, cursor->next(rt));
    if (!item) break;
    if (i < start) continue;
    BUNDLE_TRY(const bool same, equal(rt, *item, p.at(0)));
    if (same) return Value(i);
  }
  return render_error("the value of index() is not in the " + std::string(type_name(self)));
}

Result<Value> bit_length(Runtime&, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("bit_length", {}, 0, std::move(args)));
  const Int n = self.integral();
  return Value::integer(n == 0 ? 0 : static_cast<std::int64_t>(digits_of(n, 2).size()));
}

Result<Value> is_integer(Runtime&, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("is_integer", {}, 0, std::move(args)));
  return Value(std::isfinite(self.real()) && self.real() == std::floor(self.real()));
}

/// Methods that a type has and that make no sense here.
Result<Value> refuse(Runtime&, const Value& self, Arguments) {
  return render_error("this method of '" + std::string(type_name(self)) +
                      "' is not offered to templates");
}

Method find_in(const Table& table, std::string_view name) {
  const auto at = table.find(name);
  return at == table.end() ? nullptr : at->second;
}

Method find_plain(const Value& object, std::string_view name) {
  static const Table kDict = {{"get", dict_get},
                              {"items", dict_view<DictView::Part::kItems>},
                              {"keys", dict_view<DictView::Part::kKeys>},
                              {"values", dict_view<DictView::Part::kValues>},
                              {"copy", copy},
                              {"fromkeys", refuse}};
  static const Table kList = {{"index", index_of_item}, {"count", count_items}, {"copy", copy}};
  static const Table kTuple = {{"index", index_of_item}, {"count", count_items}};
  static const Table kInt = {{"bit_length", bit_length},
                             {"conjugate", copy},
                             {"to_bytes", refuse},
                             {"from_bytes", refuse},
                             {"bit_count", refuse}};
  static const Table kFloat = {
      {"is_integer", is_integer}, {"conjugate", copy}, {"hex", refuse}, {"fromhex", refuse}};
  switch (object.kind()) {
    case Kind::kString:
      return find_string_method(name);
    case Kind::kDict:
      return find_in(kDict, name);
    case Kind::kList:
      return find_in(kList, name);
    case Kind::kTuple:
      return find_in(kTuple, name);
    case Kind::kBool:
    case Kind::kInt:
      return find_in(kInt, name);
    case Kind::kFloat:
      return find_in(kFloat, name);
    case Kind::kObject:
      return object.as<Range>() != nullptr ? find_in(kTuple, name) : nullptr;
    default:
      return nullptr;
  }
}

/// Attributes that are no methods.
std::optional<Value> find_field(const Value& object, std::string_view name) {
  if (object.is(Kind::kTuple) && object.sequence().group) {
    if (name == "grouper") return object.items()[0];
    if (name == "list") return object.items()[1];
  }
  if (object.is_number()) {
    if (name == "real") return object.is(Kind::kFloat) ? object : Value(object.integral());
    if (name == "imag") return object.is(Kind::kFloat) ? Value(0.0) : Value::integer(0);
  }
  if (object.is_integral()) {
    if (name == "numerator") return Value(object.integral());
    if (name == "denominator") return Value::integer(1);
  }
  return {};
}

}  // namespace

Result<std::optional<Value>> find_method(Runtime& rt, const Value& object, std::string_view name) {
  if (auto field = find_field(object, name)) return field;
  const Method method = find_plain(object, name);
  if (method == nullptr) return std::optional<Value>();
  BUNDLE_TRY(Value bound, rt.function(
                              name,
                              [method, object](Runtime& at, Arguments args) {
                                return method(at, object, std::move(args));
                              },
                              depth_of(object)));
  return std::optional(std::move(bound));
}

}  // namespace bundle::chat
