#include "runtime/chat/lookup.h"

#include <algorithm>
#include <array>

#include "runtime/chat/methods.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/repr.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

constexpr std::array<std::string_view, 5> kMutatesDict = {"clear", "pop", "popitem", "setdefault",
                                                          "update"};
constexpr std::array<std::string_view, 8> kMutatesList = {"append", "clear", "pop",    "reverse",
                                                          "insert", "sort",  "extend", "remove"};

// What every Python object has.
constexpr std::array<std::string_view, 23> kDunders = {
    "__class__",  "__delattr__",   "__dir__",         "__doc__",
    "__eq__",     "__format__",    "__ge__",          "__getattribute__",
    "__gt__",     "__hash__",      "__init__",        "__init_subclass__",
    "__le__",     "__lt__",        "__ne__",          "__new__",
    "__reduce__", "__reduce_ex__", "__repr__",        "__setattr__",
    "__sizeof__", "__str__",       "__subclasshook__"};

template <std::size_t N>
bool among(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_unsafe(const Value& object, std::string_view name) {
  if (object.is(Kind::kDict) && among(kMutatesDict, name)) return true;
  if (object.is(Kind::kList) && among(kMutatesList, name)) return true;
  return among(kDunders, name);
}

Value unsafe(const Value& object, std::string_view name) {
  return Value::undefined("access to attribute '" + std::string(name) + "' of '" +
                          std::string(type_name(object)) + "' object is unsafe");
}

Value missing_attribute(const Value& object, std::string_view name) {
  return Value::undefined("'" + std::string(type_name(object)) + " object' has no attribute '" +
                          std::string(name) + "'");
}

/// getattr(object, name), or nothing.
Result<std::optional<Value>> find_attribute(Runtime& rt, const Value& object,
                                            std::string_view name) {
  if (is_unsafe(object, name)) return std::optional(unsafe(object, name));
  if (object.is(Kind::kObject)) {
    BUNDLE_TRY(auto found, object.object()->attribute(rt, name));
    if (found) return found;
  }
  return find_method(rt, object, name);
}

Result<std::optional<Value>> item_of_sequence(const Value& object, const Value& key) {
  if (!key.is_integral()) return std::optional<Value>();
  const auto& items = object.items();
  const Int size = static_cast<Int>(items.size());
  const Int i = key.integral() < 0 ? key.integral() + size : key.integral();
  if (i < 0 || i >= size) return std::optional<Value>();
  return std::optional(items[static_cast<std::size_t>(i)]);
}

Result<std::optional<Value>> item_of_text(Runtime& rt, const Value& object, const Value& key) {
  if (!key.is_integral()) return std::optional<Value>();
  const Text& text = object.text();
  const Int size = static_cast<Int>(text.length);
  const Int i = key.integral() < 0 ? key.integral() + size : key.integral();
  if (i < 0 || i >= size) return std::optional<Value>();
  const auto index = static_cast<std::size_t>(i);
  std::size_t end = index;
  if (!text.is_ascii()) {
    BUNDLE_CHECK(rt.work(text.bytes.size()));
    end = byte_offset(text.bytes, index);
  }
  const std::size_t start = end;
  next_code_point(text.bytes, end);
  return std::optional(Value::text(text.bytes.substr(start, end - start), text.markup));
}

/// object[key], or nothing where Python raises a TypeError or LookupError.
Result<std::optional<Value>> find_item(Runtime& rt, const Value& object, const Value& key) {
  switch (object.kind()) {
    case Kind::kDict: {
      if (!is_hashable(key)) return std::optional<Value>();
      const Value* found = object.dict().find(key);
      return found == nullptr ? std::optional<Value>() : std::optional(*found);
    }
    case Kind::kList:
    case Kind::kTuple:
      return item_of_sequence(object, key);
    case Kind::kString:
      return item_of_text(rt, object, key);
    case Kind::kObject:
      return object.object()->item(rt, key);
    default:
      return std::optional<Value>();
  }
}

struct Bounds {
  Int start;
  Int stop;
  Int step;
};

Result<Int> bound(const Value& value, Int fallback, Int size, Int low, Int high) {
  if (value.is(Kind::kNone)) return fallback;
  if (!value.is_integral()) {
    return render_error("slice indices must be integers or None");
  }
  Int n = value.integral();
  if (n < 0) n += size;
  return std::clamp(n, low, high);
}

/// slice.indices(size).
Result<Bounds> slice_bounds(Int size, const Value& start, const Value& stop, const Value& step) {
  Bounds out{0, 0, 1};
  if (!step.is(Kind::kNone)) {
    if (!step.is_integral()) return render_error("slice indices must be integers or None");
    out.step = std::clamp(step.integral(), -(Int{1} << 62), Int{1} << 62);
    if (out.step == 0) return render_error("slice step cannot be zero");
  }
  const bool back = out.step < 0;
  const Int low = back ? -1 : 0;
  const Int high = back ? size - 1 : size;
  BUNDLE_TRY(out.start, bound(start, back ? high : low, size, low, high));
  BUNDLE_TRY(out.stop, bound(stop, back ? low : high, size, low, high));
  return out;
}

template <typename Take>
void each_index(const Bounds& bounds, Take take) {
  for (Int i = bounds.start; bounds.step > 0 ? i < bounds.stop : i > bounds.stop;
       i += bounds.step) {
    take(static_cast<std::size_t>(i));
  }
}

Result<Value> slice_text(Runtime& rt, const Text& text, const Bounds& bounds) {
  BUNDLE_CHECK(rt.work(text.bytes.size()));
  if (bounds.step == 1) {
    if (bounds.start >= bounds.stop) return rt.text("", text.markup);
    const auto first = static_cast<std::size_t>(bounds.start);
    const auto size = static_cast<std::size_t>(bounds.stop - bounds.start);
    if (text.is_ascii()) return rt.text(text.bytes.substr(first, size), text.markup);
    const std::size_t from = byte_offset(text.bytes, first);
    const std::size_t length = byte_offset(std::string_view(text.bytes).substr(from), size);
    return rt.text(text.bytes.substr(from, length), text.markup);
  }
  std::u32string all;
  for (std::size_t at = 0; at < text.bytes.size();) all += next_code_point(text.bytes, at);
  std::string out;
  each_index(bounds, [&](std::size_t i) { append_utf8(out, all[i]); });
  return rt.text(std::move(out), text.markup);
}

Result<Value> slice_range(const Range& range, const Bounds& bounds) {
  const Int first = range.size() > 0 ? Int{range.at(0)} : Int{0};
  const Int stride = range.size() > 1 ? Int{range.at(1)} - first : Int{1};
  const Int start = first + bounds.start * stride;
  const Int stop = first + bounds.stop * stride;
  Int step;
  const Int most = Int{1} << 62;
  if (__builtin_mul_overflow(stride, bounds.step, &step) || start > most || start < -most ||
      stop > most || stop < -most || step > most || step < -most) {
    return render_error("a slice of a range is out of bounds");
  }
  return Value::of(std::make_shared<Range>(static_cast<std::int64_t>(start),
                                           static_cast<std::int64_t>(stop),
                                           static_cast<std::int64_t>(step)));
}

}  // namespace

Result<Value> get_attribute(Runtime& rt, const Value& object, std::string_view name) {
  if (object.is(Kind::kUndefined)) {
    if (among(kDunders, name)) return unsafe(object, name);
    return undefined_error(object);
  }
  BUNDLE_TRY(auto found, find_attribute(rt, object, name));
  if (found) return *std::move(found);
  BUNDLE_TRY(found, find_item(rt, object, Value::text(std::string(name))));
  if (found) return *std::move(found);
  return missing_attribute(object, name);
}

Result<Value> get_item(Runtime& rt, const Value& object, const Value& key) {
  if (object.is(Kind::kUndefined)) return undefined_error(object);
  BUNDLE_TRY(auto found, find_item(rt, object, key));
  if (found) return *std::move(found);
  if (key.is(Kind::kString)) {
    BUNDLE_TRY(found, find_attribute(rt, object, key.str()));
    if (found) return *std::move(found);
    return missing_attribute(object, key.str());
  }
  if (key.is_number() || key.is(Kind::kNone)) {
    BUNDLE_TRY(const std::string text, to_repr(rt, key));
    return Value::undefined(std::string(type_name(object)) + " object has no element " + text);
  }
  return Value::undefined(std::string(type_name(object)) + " object has no such element");
}

Result<Value> get_slice(Runtime& rt, const Value& object, const Value& start, const Value& stop,
                        const Value& step) {
  if (object.is(Kind::kUndefined)) return undefined_error(object);
  const auto* range = object.as<Range>();
  const Int size = object.is_sequence()       ? static_cast<Int>(object.items().size())
                   : object.is(Kind::kString) ? static_cast<Int>(object.text().length)
                   : range != nullptr         ? static_cast<Int>(range->size())
                                              : Int{-1};
  if (size < 0) {
    return render_error("'" + std::string(type_name(object)) + "' object can not be sliced");
  }
  BUNDLE_TRY(const Bounds bounds, slice_bounds(size, start, stop, step));
  if (range != nullptr) return slice_range(*range, bounds);
  if (object.is(Kind::kString)) return slice_text(rt, object.text(), bounds);
  std::vector<Value> items;
  each_index(bounds, [&](std::size_t i) { items.push_back(object.items()[i]); });
  if (object.is(Kind::kList)) return rt.list(std::move(items));
  return rt.tuple(std::move(items));
}

Result<bool> has_attribute(Runtime& rt, const Value& object, std::string_view name) {
  BUNDLE_TRY(const auto found, find_attribute(rt, object, name));
  return found.has_value();
}

}  // namespace bundle::chat
