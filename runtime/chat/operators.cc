#include "runtime/chat/operators.h"

#include <compare>
#include <cstring>

#include "runtime/chat/html.h"
#include "runtime/chat/number.h"
#include "runtime/chat/percent_format.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

constexpr const char* kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

Error no_operator(std::string_view symbol, const Value& a, const Value& b) {
  return render_error("unsupported operand types for " + std::string(symbol) + ": '" +
                      std::string(type_name(a)) + "' and '" + std::string(type_name(b)) + "'");
}

Result<Value> add_texts(Runtime& rt, const Value& a, const Value& b) {
  const bool markup = a.text().markup || b.text().markup;
  BUNDLE_CHECK(rt.check_size(a.str().size() + b.str().size()));
  if (!markup || (a.text().markup && b.text().markup)) return rt.text(a.str() + b.str(), markup);
  return rt.text(a.text().markup ? a.str() + escape_html(b.str()) : escape_html(a.str()) + b.str(),
                 true);
}

Result<Value> make_like(Runtime& rt, const Value& model, std::vector<Value> items) {
  return model.is(Kind::kList) ? rt.list(std::move(items)) : rt.tuple(std::move(items));
}

Result<Value> add_sequences(Runtime& rt, const Value& a, const Value& b) {
  BUNDLE_CHECK(rt.check_size((a.items().size() + b.items().size()) * sizeof(Value)));
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return make_like(rt, a, std::move(items));
}

Result<Value> add(Runtime& rt, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return add_numbers(a, b);
  if (a.is(Kind::kString) && b.is(Kind::kString)) return add_texts(rt, a, b);
  if (a.is_sequence() && a.kind() == b.kind()) return add_sequences(rt, a, b);
  return no_operator("+", a, b);
}

/// How often to repeat something of `size` bytes, checked against the budget first.
Result<std::size_t> repeat_count(Runtime& rt, Int count, std::size_t size) {
  if (count <= 0 || size == 0) return std::size_t{0};
  if (count > Int{1} << 40) count = Int{1} << 40;
  const Int total = count * static_cast<Int>(size);
  BUNDLE_CHECK(
      rt.check_size(total > Int{1} << 60 ? ~std::uint64_t{0} : static_cast<std::uint64_t>(total)));
  return static_cast<std::size_t>(count);
}

Result<Value> repeat(Runtime& rt, const Value& what, Int times) {
  if (what.is(Kind::kString)) {
    BUNDLE_TRY(const std::size_t count, repeat_count(rt, times, what.str().size()));
    std::string out;
    out.reserve(count * what.str().size());
    for (std::size_t i = 0; i < count; ++i) out += what.str();
    return rt.text(std::move(out), what.text().markup);
  }
  BUNDLE_TRY(const std::size_t count, repeat_count(rt, times, what.items().size() * sizeof(Value)));
  std::vector<Value> items;
  items.reserve(count * what.items().size());
  for (std::size_t i = 0; i < count; ++i) {
    items.insert(items.end(), what.items().begin(), what.items().end());
  }
  return make_like(rt, what, std::move(items));
}

bool can_repeat(const Value& value) { return value.is(Kind::kString) || value.is_sequence(); }

Result<std::partial_ordering> order(Runtime& rt, const Value& a, const Value& b);

Result<std::partial_ordering> order_sequences(Runtime& rt, const Value& a, const Value& b) {
  const auto& x = a.items();
  const auto& y = b.items();
  for (std::size_t i = 0; i < x.size() && i < y.size(); ++i) {
    BUNDLE_TRY(const bool same, equal(rt, x[i], y[i]));
    if (!same) return order(rt, x[i], y[i]);
  }
  return x.size() <=> y.size();
}

/// a <=> b; an error when Python can not order the two.
Result<std::partial_ordering> order(Runtime& rt, const Value& a, const Value& b) {
  BUNDLE_CHECK(rt.spend(1));
  if (a.is(Kind::kUndefined)) return undefined_error(a);
  if (b.is(Kind::kUndefined)) return undefined_error(b);
  if (a.is_integral() && b.is_integral()) return a.integral() <=> b.integral();
  if (a.is_number() && b.is_number()) {
    if (a.real() != a.real() || b.real() != b.real()) return std::partial_ordering::unordered;
    return compare_keys(a, b) <=> 0;
  }
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    BUNDLE_CHECK(rt.work(std::min(a.str().size(), b.str().size())));
    return a.str().compare(b.str()) <=> 0;
  }
  if (a.is_sequence() && a.kind() == b.kind()) return order_sequences(rt, a, b);
  return render_error("values of types '" + std::string(type_name(a)) + "' and '" +
                      std::string(type_name(b)) + "' have no order");
}

bool equal_values(const Value& a, const Value& b);

bool equal_sequences(const Value& a, const Value& b) {
  const auto& x = a.items();
  const auto& y = b.items();
  if (&x == &y) return true;
  if (x.size() != y.size()) return false;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!equal_values(x[i], y[i])) return false;
  }
  return true;
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (&a == &b) return true;
  if (a.size() != b.size()) return false;
  for (const auto& entry : a.entries()) {
    const Value* other = b.find(entry.key);
    if (other == nullptr || !equal_values(entry.value, *other)) return false;
  }
  return true;
}

bool equal_values(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.real() != a.real() || b.real() != b.real()) return false;
    return compare_keys(a, b) == 0;
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kString:
      return a.str() == b.str();
    case Kind::kList:
    case Kind::kTuple:
      return equal_sequences(a, b);
    case Kind::kDict:
      return equal_dicts(a.dict(), b.dict());
    case Kind::kObject:
      return a.object()->equals(*b.object());
    default:
      return true;  // None, Undefined: all alike
  }
}

Result<bool> text_contains(Runtime& rt, const Value& container, const Value& needle) {
  if (!needle.is(Kind::kString)) {
    return render_error("'in' a string asks for a string, not '" + std::string(type_name(needle)) +
                        "'");
  }
  const std::string& in = container.str();
  const std::string& what = needle.str();
  BUNDLE_CHECK(rt.work(in.size()));
  // memmem is linear; std::string::find is not.
  return memmem(in.data(), in.size(), what.data(), what.size()) != nullptr;
}

Result<bool> found_by_iterating(Runtime& rt, const Value& container, const Value& needle) {
  BUNDLE_TRY(const CursorPtr cursor, iterate(rt, container));
  while (true) {
    BUNDLE_TRY(const auto item, cursor->next(rt));
    if (!item) return false;
    if (item->same_as(needle)) return true;
    BUNDLE_TRY(const bool same, equal(rt, *item, needle));
    if (same) return true;
  }
}

class ItemsCursor final : public Cursor {
 public:
  explicit ItemsCursor(Value value) : value_(std::move(value)) {}
  Result<std::optional<Value>> next(Runtime& rt) override {
    BUNDLE_CHECK(rt.spend(1));
    if (at_ == value_.items().size()) return std::optional<Value>();
    return std::optional(value_.items()[at_++]);
  }

 private:
  Value value_;
  std::size_t at_ = 0;
};

class CharactersCursor final : public Cursor {
 public:
  explicit CharactersCursor(Value value) : value_(std::move(value)) {}
  Result<std::optional<Value>> next(Runtime& rt) override {
    BUNDLE_CHECK(rt.spend(1));
    const std::string& text = value_.str();
    if (at_ == text.size()) return std::optional<Value>();
    const std::size_t start = at_;
    next_code_point(text, at_);
    return std::optional(Value::text(text.substr(start, at_ - start)));
  }

 private:
  Value value_;
  std::size_t at_ = 0;
};

class KeysCursor final : public Cursor {
 public:
  explicit KeysCursor(Value value) : value_(std::move(value)) {}
  Result<std::optional<Value>> next(Runtime& rt) override {
    BUNDLE_CHECK(rt.spend(1));
    const auto& entries = value_.dict().entries();
    if (at_ == entries.size()) return std::optional<Value>();
    return std::optional(entries[at_++].key);
  }

 private:
  Value value_;
  std::size_t at_ = 0;
};

class EmptyCursor final : public Cursor {
 public:
  Result<std::optional<Value>> next(Runtime&) override { return std::optional<Value>(); }
};

}  // namespace

Error undefined_error(const Value& value) { return render_error(value.why_undefined()); }

Result<Value> binary(Runtime& rt, BinaryOp op, const Value& a, const Value& b) {
  if (op == BinaryOp::kModulo && a.is(Kind::kString)) return percent_format(rt, a, b);
  if (a.is(Kind::kUndefined)) return undefined_error(a);
  if (b.is(Kind::kUndefined)) return undefined_error(b);
  if (op == BinaryOp::kAdd) return add(rt, a, b);
  if (op == BinaryOp::kMultiply && can_repeat(a) && b.is_integral()) {
    return repeat(rt, a, b.integral());
  }
  if (op == BinaryOp::kMultiply && a.is_integral() && can_repeat(b)) {
    return repeat(rt, b, a.integral());
  }
  if (!a.is_number() || !b.is_number()) {
    return no_operator(kSymbols[static_cast<int>(op)], a, b);
  }
  using Arithmetic = Result<Value> (*)(const Value&, const Value&);
  constexpr Arithmetic kFunctions[] = {add_numbers,  subtract, multiply, divide,
                                       floor_divide, modulo,   power};
  return kFunctions[static_cast<int>(op)](a, b);
}

Result<Value> negate(const Value& a) {
  if (a.is(Kind::kUndefined)) return undefined_error(a);
  if (a.is(Kind::kFloat)) return Value(-a.real());
  if (a.is_integral()) return subtract(Value::integer(0), a);
  return render_error("bad operand type for unary -: '" + std::string(type_name(a)) + "'");
}

Result<Value> plus(const Value& a) {
  if (a.is(Kind::kUndefined)) return undefined_error(a);
  if (a.is(Kind::kFloat)) return a;
  if (a.is_integral()) return Value(a.integral());
  return render_error("bad operand type for unary +: '" + std::string(type_name(a)) + "'");
}

Result<bool> equal(Runtime& rt, const Value& a, const Value& b) {
  BUNDLE_CHECK(rt.spend(std::min(weight_of(a), weight_of(b))));
  return equal_values(a, b);
}

Result<bool> less(Runtime& rt, const Value& a, const Value& b) {
  return compare(rt, CompareOp::kLess, a, b);
}

Result<bool> compare(Runtime& rt, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::kEqual:
      return equal(rt, a, b);
    case CompareOp::kNotEqual: {
      BUNDLE_TRY(const bool same, equal(rt, a, b));
      return !same;
    }
    case CompareOp::kIn:
      return contains(rt, b, a);
    case CompareOp::kNotIn: {
      BUNDLE_TRY(const bool found, contains(rt, b, a));
      return !found;
    }
    default:
      break;
  }
  BUNDLE_TRY(const std::partial_ordering way, order(rt, a, b));
  switch (op) {
    case CompareOp::kLess:
      return std::is_lt(way);
    case CompareOp::kLessEqual:
      return std::is_lteq(way);
    case CompareOp::kGreater:
      return std::is_gt(way);
    default:
      return std::is_gteq(way);
  }
}

Result<bool> contains(Runtime& rt, const Value& container, const Value& needle) {
  if (container.is(Kind::kString)) return text_contains(rt, container, needle);
  if (container.is(Kind::kDict)) {
    if (!is_hashable(needle)) {
      return render_error("unhashable type: '" + std::string(type_name(needle)) + "'");
    }
    BUNDLE_CHECK(rt.spend(1));
    return container.dict().find(needle) != nullptr;
  }
  if (container.is(Kind::kObject)) {
    BUNDLE_TRY(const auto known, container.object()->contains(rt, needle));
    if (known) return *known;
  }
  return found_by_iterating(rt, container, needle);
}

Result<CursorPtr> iterate(Runtime& rt, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return CursorPtr(new EmptyCursor);
    case Kind::kString:
      return CursorPtr(new CharactersCursor(value));
    case Kind::kList:
    case Kind::kTuple:
      return CursorPtr(new ItemsCursor(value));
    case Kind::kDict:
      return CursorPtr(new KeysCursor(value));
    case Kind::kObject: {
      BUNDLE_TRY(CursorPtr cursor, value.object()->iterate(rt));
      if (cursor != nullptr) return cursor;
      break;
    }
    default:
      break;
  }
  return render_error("'" + std::string(type_name(value)) + "' object is not iterable");
}

bool is_iterable(Runtime& rt, const Value& value) { return iterate(rt, value).has_value(); }

Result<std::vector<Value>> to_items(Runtime& rt, const Value& value) {
  if (value.is_sequence()) {
    BUNDLE_CHECK(rt.work(value.items().size() * sizeof(Value)));
    return value.items();
  }
  BUNDLE_TRY(const CursorPtr cursor, iterate(rt, value));
  std::vector<Value> items;
  while (true) {
    BUNDLE_TRY(auto item, cursor->next(rt));
    if (!item) return items;
    items.push_back(*std::move(item));
    BUNDLE_CHECK(rt.check_size(items.size() * sizeof(Value)));
  }
}

Result<std::optional<std::size_t>> find_length(Runtime& rt, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return std::optional<std::size_t>(0);
    case Kind::kString:
      return std::optional(value.text().length);
    case Kind::kList:
    case Kind::kTuple:
      return std::optional(value.items().size());
    case Kind::kDict:
      return std::optional(value.dict().size());
    case Kind::kObject:
      return value.object()->length(rt);
    default:
      return std::optional<std::size_t>();
  }
}

Result<std::size_t> length_of(Runtime& rt, const Value& value) {
  BUNDLE_TRY(const auto length, find_length(rt, value));
  if (length) return *length;
  return render_error("object of type '" + std::string(type_name(value)) + "' has no length");
}

Result<Value> call(Runtime& rt, const Value& callee, Arguments args) {
  if (callee.is(Kind::kUndefined)) return undefined_error(callee);
  if (!callee.is(Kind::kObject) || !callee.object()->is_callable()) {
    return render_error("'" + std::string(type_name(callee)) + "' object is not callable");
  }
  return callee.object()->call(rt, std::move(args));
}

}  // namespace bundle::chat
