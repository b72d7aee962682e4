#include "runtime/chat/object.h"

#include <algorithm>
#include <limits>

#include "runtime/chat/number.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/repr.h"
#include "runtime/chat/runtime.h"

namespace bundle::chat {
namespace {

class GeneratorCursor final : public Cursor {
 public:
  explicit GeneratorCursor(std::shared_ptr<Generator> generator)
      : generator_(std::move(generator)) {}
  Result<std::optional<Value>> next(Runtime& rt) override { return generator_->next(rt); }

 private:
  std::shared_ptr<Generator> generator_;
};

/// Walks an object by position.
template <typename T>
class IndexCursor final : public Cursor {
 public:
  explicit IndexCursor(T at) : at_(std::move(at)) {}
  Result<std::optional<Value>> next(Runtime& rt) override {
    BUNDLE_CHECK(rt.spend(1));
    return at_(rt, i_++);
  }

 private:
  T at_;
  std::size_t i_ = 0;
};

template <typename T>
CursorPtr index_cursor(T at) {
  return std::make_unique<IndexCursor<T>>(std::move(at));
}

std::size_t range_size(std::int64_t start, std::int64_t stop, std::int64_t step) {
  const Int distance = step > 0 ? Int{stop} - start : Int{start} - stop;
  const Int stride = step > 0 ? Int{step} : -Int{step};
  return distance <= 0 ? 0 : static_cast<std::size_t>((distance + stride - 1) / stride);
}

}  // namespace

std::optional<Value> Arguments::take(std::string_view name) {
  const auto at =
      std::find_if(named.begin(), named.end(), [&](const auto& arg) { return arg.first == name; });
  if (at == named.end()) return {};
  Value value = std::move(at->second);
  named.erase(at);
  return value;
}

Result<std::optional<Value>> Object::attribute(Runtime&, std::string_view) {
  return std::optional<Value>();
}
Result<std::optional<Value>> Object::item(Runtime&, const Value&) { return std::optional<Value>(); }
Result<std::optional<std::size_t>> Object::length(Runtime&) { return std::optional<std::size_t>(); }
Result<CursorPtr> Object::iterate(Runtime&) { return CursorPtr(); }
Result<std::optional<bool>> Object::contains(Runtime&, const Value&) {
  return std::optional<bool>();
}
Result<Value> Object::call(Runtime&, Arguments) { return render_error("not callable"); }
Result<std::string> Object::repr(Runtime&) { return "<" + std::string(type_name()) + " object>"; }

Result<CursorPtr> Generator::iterate(Runtime&) {
  return CursorPtr(new GeneratorCursor(std::static_pointer_cast<Generator>(shared_from_this())));
}

Result<std::optional<Value>> Generator::next(Runtime& rt) {
  BUNDLE_CHECK(rt.spend(1));
  if (done_) return std::optional<Value>();
  if (running_) return render_error("generator already executing");
  const Runtime::Level level(rt.levels);
  if (rt.too_deep()) return render_error("generators nest too deep");
  running_ = true;
  auto item = next_(rt);
  running_ = false;
  done_ = item.has_error() || !item->has_value();
  return item;
}

Range::Range(std::int64_t start, std::int64_t stop, std::int64_t step)
    : start_(start), stop_(stop), step_(step), size_(range_size(start, stop, step)) {}

std::int64_t Range::at(std::size_t i) const {
  return start_ + static_cast<std::int64_t>(i) * step_;
}

Result<std::optional<Value>> Range::attribute(Runtime&, std::string_view name) {
  if (name == "start") return std::optional(Value::integer(start_));
  if (name == "stop") return std::optional(Value::integer(stop_));
  if (name == "step") return std::optional(Value::integer(step_));
  return std::optional<Value>();
}

Result<std::optional<Value>> Range::item(Runtime&, const Value& key) {
  if (!key.is_integral()) return std::optional<Value>();
  const Int size = static_cast<Int>(size_);
  const Int i = key.integral() < 0 ? key.integral() + size : key.integral();
  if (i < 0 || i >= size) return std::optional<Value>();
  return std::optional(Value::integer(at(static_cast<std::size_t>(i))));
}

Result<std::optional<std::size_t>> Range::length(Runtime&) { return std::optional(size_); }

Result<CursorPtr> Range::iterate(Runtime&) {
  return index_cursor([start = start_, step = step_, size = size_](
                          Runtime&, std::size_t i) -> Result<std::optional<Value>> {
    if (i >= size) return std::optional<Value>();
    return std::optional(Value::integer(start + static_cast<std::int64_t>(i) * step));
  });
}

Result<std::optional<bool>> Range::contains(Runtime&, const Value& needle) {
  if (!needle.is_integral()) return std::optional<bool>();
  const Int n = needle.integral();
  const bool between = step_ > 0 ? n >= start_ && n < stop_ : n <= start_ && n > stop_;
  return std::optional(between && (n - start_) % step_ == 0);
}

Result<std::string> Range::repr(Runtime&) {
  std::string out = "range(" + std::to_string(start_) + ", " + std::to_string(stop_);
  if (step_ != 1) out += ", " + std::to_string(step_);
  return out + ")";
}

bool Range::equals(const Object& other) const {
  const auto* range = dynamic_cast<const Range*>(&other);
  if (range == nullptr || size_ != range->size_) return false;
  if (size_ == 0) return true;
  return start_ == range->start_ && (size_ == 1 || step_ == range->step_);
}

std::string_view DictView::type_name() const {
  constexpr std::string_view kNames[] = {"dict_items", "dict_keys", "dict_values"};
  return kNames[static_cast<int>(part_)];
}

bool DictView::truthy() const { return dict_.dict().size() != 0; }

Result<std::optional<std::size_t>> DictView::length(Runtime&) {
  return std::optional(dict_.dict().size());
}

Result<CursorPtr> DictView::iterate(Runtime&) {
  return index_cursor(
      [dict = dict_, part = part_](Runtime& rt, std::size_t i) -> Result<std::optional<Value>> {
        const auto& entries = dict.dict().entries();
        if (i >= entries.size()) return std::optional<Value>();
        if (part == Part::kKeys) return std::optional(entries[i].key);
        if (part == Part::kValues) return std::optional(entries[i].value);
        BUNDLE_TRY(Value pair, rt.tuple({entries[i].key, entries[i].value}));
        return std::optional(std::move(pair));
      });
}

Result<std::optional<bool>> DictView::contains(Runtime& rt, const Value& needle) {
  if (part_ != Part::kKeys) return std::optional<bool>();
  BUNDLE_TRY(const bool found, chat::contains(rt, dict_, needle));
  return std::optional(found);
}

Result<std::string> DictView::repr(Runtime& rt) {
  BUNDLE_TRY(CursorPtr cursor, iterate(rt));
  std::vector<Value> items;
  while (true) {
    BUNDLE_TRY(auto item, cursor->next(rt));
    if (!item) break;
    items.push_back(*std::move(item));
  }
  BUNDLE_TRY(const Value list, rt.list(std::move(items)));
  BUNDLE_TRY(const std::string text, to_repr(rt, list));
  return std::string(type_name()) + "(" + text + ")";
}

bool DictView::equals(const Object& other) const {
  const auto* view = dynamic_cast<const DictView*>(&other);
  if (view == nullptr || view->part_ != part_ || part_ == Part::kValues) return this == &other;
  const Dict& a = dict_.dict();
  const Dict& b = view->dict_.dict();
  if (a.size() != b.size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const Dict::Entry& entry) {
    const Value* value = b.find(entry.key);
    return value != nullptr && (part_ == Part::kKeys || value->same_as(entry.value));
  });
}

}  // namespace bundle::chat
