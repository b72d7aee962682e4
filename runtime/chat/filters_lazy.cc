// Filters that make their items when asked for, as Jinja's do: what is never asked for is never
// evaluated, and fails never.
#include <algorithm>
#include <memory>
#include <set>
#include <unordered_map>

#include "runtime/chat/attribute_path.h"
#include "runtime/chat/builtins.h"
#include "runtime/chat/dict.h"
#include "runtime/chat/filters.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/parameters.h"

namespace bundle::chat {
namespace {

using Item = std::optional<Value>;

int depth_of_all(const Arguments& args) {
  int depth = 0;
  for (const auto& value : args.positional) depth = std::max(depth, depth_of(value));
  for (const auto& [name, value] : args.named) depth = std::max(depth, depth_of(value));
  return depth;
}

/// The items of a value, opened when the first is asked for.
class LateCursor {
 public:
  explicit LateCursor(Value value) : value_(std::move(value)) {}

  Result<Item> next(Runtime& rt) {
    if (cursor_ == nullptr) {
      BUNDLE_TRY(cursor_, iterate(rt, value_));
    }
    return cursor_->next(rt);
  }
  const Value& value() const { return value_; }

 private:
  Value value_;
  CursorPtr cursor_;
};

/// A generator over `state`, whose next(rt) gives the items.
template <typename State, typename... Args>
Result<Value> generate(Runtime& rt, int depth, Args&&... args) {
  auto state = std::make_shared<State>(std::forward<Args>(args)...);
  return rt.generator([state](Runtime& at) { return state->next(at); }, depth);
}

/// The input of the filter, taken out of its arguments.
Result<Value> take_input(Arguments& args, const char* filter) {
  if (args.positional.empty()) return render_error(std::string(filter) + " is missing its input");
  Value input = std::move(args.positional.front());
  args.positional.erase(args.positional.begin());
  return input;
}

/// A filter or test by name, with the arguments that follow every item.
class NamedCall {
 public:
  /// Takes the name off the front of the arguments.
  static Result<NamedCall> prepare(Arguments args, BuiltinFunction (*find)(std::string_view)) {
    NamedCall out;
    const Value name = args.positional.front();
    args.positional.erase(args.positional.begin());
    out.function_ = name.is(Kind::kString) ? find(name.str()) : nullptr;
    if (out.function_ == nullptr) {
      return render_error("No filter or test named '" +
                          (name.is(Kind::kString) ? name.str() : std::string(type_name(name))) +
                          "'");
    }
    out.args_ = std::move(args);
    return out;
  }

  Result<Value> call(Runtime& rt, const Value& item) const {
    Arguments args = args_;
    args.positional.insert(args.positional.begin(), item);
    return function_(rt, std::move(args));
  }

 private:
  BuiltinFunction function_ = nullptr;
  Arguments args_;
};

class MapState {
 public:
  MapState(Value input, Arguments args) : source_(std::move(input)), args_(std::move(args)) {}

  Result<Item> next(Runtime& rt) {
    if (!ready_) {
      if (!truthy(source_.value())) return Item();
      BUNDLE_CHECK(prepare());
    }
    BUNDLE_TRY(const Item item, source_.next(rt));
    if (!item) return Item();
    BUNDLE_TRY(Value mapped, call_ ? call_->call(rt, *item) : path_.get(rt, *item));
    return Item(std::move(mapped));
  }

 private:
  Status prepare() {
    ready_ = true;
    if (args_.positional.empty()) {
      const auto attribute = args_.take("attribute");
      if (!attribute) return render_error("map requires a filter argument");
      path_ = AttributePath(*attribute).with_default(args_.take("default").value_or(Value()));
      if (args_.named.empty()) return {};
      return render_error("Unexpected keyword argument '" + args_.named.front().first + "'");
    }
    BUNDLE_TRY(call_, NamedCall::prepare(std::move(args_), find_filter));
    return {};
  }

  LateCursor source_;
  Arguments args_;
  bool ready_ = false;
  std::optional<NamedCall> call_;
  AttributePath path_;
};

Result<Value> filter_map(Runtime& rt, Arguments args) {
  BUNDLE_TRY(Value input, take_input(args, "map"));
  const int depth = std::max(depth_of(input), depth_of_all(args));
  return generate<MapState>(rt, depth, std::move(input), std::move(args));
}

/// select, reject, selectattr and rejectattr.
class SelectState {
 public:
  SelectState(Value input, Arguments args, bool keep, bool by_attribute)
      : source_(std::move(input)),
        args_(std::move(args)),
        keep_(keep),
        by_attribute_(by_attribute) {}

  Result<Item> next(Runtime& rt) {
    if (!ready_) {
      if (!truthy(source_.value())) return Item();
      BUNDLE_CHECK(prepare());
    }
    while (true) {
      BUNDLE_TRY(Item item, source_.next(rt));
      if (!item) return Item();
      BUNDLE_TRY(Value looked_at, path_.get(rt, *item));
      if (call_) {
        BUNDLE_TRY(looked_at, call_->call(rt, looked_at));
      }
      if (truthy(looked_at) == keep_) return item;
    }
  }

 private:
  Status prepare() {
    ready_ = true;
    if (by_attribute_) {
      if (args_.positional.empty()) return render_error("Missing parameter for attribute name");
      path_ = AttributePath(args_.positional.front());
      args_.positional.erase(args_.positional.begin());
    }
    if (args_.positional.empty()) return {};
    BUNDLE_TRY(call_, NamedCall::prepare(std::move(args_), find_test));
    return {};
  }

  LateCursor source_;
  Arguments args_;
  bool keep_;
  bool by_attribute_;
  bool ready_ = false;
  std::optional<NamedCall> call_;
  AttributePath path_;
};

template <bool kKeep, bool kByAttribute>
Result<Value> filter_select(Runtime& rt, Arguments args) {
  BUNDLE_TRY(Value input, take_input(args, "select"));
  const int depth = std::max(depth_of(input), depth_of_all(args));
  return generate<SelectState>(rt, depth, std::move(input), std::move(args), kKeep, kByAttribute);
}

class UniqueState {
 public:
  UniqueState(Value input, AttributePath path)
      : source_(std::move(input)), path_(std::move(path)) {}

  Result<Item> next(Runtime& rt) {
    while (true) {
      BUNDLE_TRY(Item item, source_.next(rt));
      if (!item) return Item();
      BUNDLE_TRY(const Value key, path_.get(rt, *item));
      if (!is_hashable(key)) {
        return render_error("unhashable type: '" + std::string(type_name(key)) + "'");
      }
      if (seen_.insert(key).second) return item;
    }
  }

 private:
  LateCursor source_;
  AttributePath path_;
  std::set<Value, KeyLess> seen_;
};

Result<Value> filter_unique(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("unique", {"value", "case_sensitive", "attribute"}, 1,
                                            std::move(args)));
  const AttributePath path = AttributePath(p.value_or(2, Value())).ignoring_case(!p.flag(1));
  return generate<UniqueState>(rt, depth_of(p.at(0)), p.at(0), path);
}

class ItemsState {
 public:
  explicit ItemsState(Value input) : input_(std::move(input)) {}

  Result<Item> next(Runtime& rt) {
    if (input_.is(Kind::kUndefined)) return Item();
    if (!input_.is(Kind::kDict)) return render_error("Can only get item pairs from a mapping.");
    const auto& entries = input_.dict().entries();
    if (at_ == entries.size()) return Item();
    const auto& entry = entries[at_++];
    BUNDLE_TRY(Value pair, rt.tuple({entry.key, entry.value}));
    return Item(std::move(pair));
  }

 private:
  Value input_;
  std::size_t at_ = 0;
};

Result<Value> filter_items(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("items", {"value"}, 1, std::move(args)));
  return generate<ItemsState>(rt, depth_of(p.at(0)) + 1, p.at(0));
}

class BatchState {
 public:
  BatchState(Value input, Int size, Value fill)
      : source_(std::move(input)), size_(size), fill_(std::move(fill)) {}

  Result<Item> next(Runtime& rt) {
    if (done_) return Item();
    std::vector<Value> batch = std::move(pending_);
    pending_.clear();
    while (true) {
      BUNDLE_TRY(Item item, source_.next(rt));
      if (!item) return last(rt, std::move(batch));
      if (static_cast<Int>(batch.size()) == size_) {
        pending_.push_back(*std::move(item));
        BUNDLE_TRY(Value list, rt.list(std::move(batch)));
        return Item(std::move(list));
      }
      batch.push_back(*std::move(item));
      BUNDLE_CHECK(rt.check_size(batch.size() * sizeof(Value)));
    }
  }

 private:
  Result<Item> last(Runtime& rt, std::vector<Value> batch) {
    done_ = true;
    if (batch.empty()) return Item();
    if (!fill_.is(Kind::kNone) && static_cast<Int>(batch.size()) < size_) {
      const Int most = Int{1} << 40;
      BUNDLE_CHECK(
          rt.check_size(static_cast<std::uint64_t>(std::min(size_, most)) * sizeof(Value)));
      batch.resize(static_cast<std::size_t>(size_), fill_);
    }
    BUNDLE_TRY(Value list, rt.list(std::move(batch)));
    return Item(std::move(list));
  }

  LateCursor source_;
  Int size_;
  Value fill_;
  std::vector<Value> pending_;
  bool done_ = false;
};

Result<Value> filter_batch(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("batch", {"value", "linecount", "fill_with"}, 2, std::move(args)));
  BUNDLE_TRY(const Int size, p.integer(1, 0));
  const Value fill = p.value_or(2, Value());
  const int depth = std::max(depth_of(p.at(0)), depth_of(fill)) + 1;
  return generate<BatchState>(rt, depth, p.at(0), size, fill);
}

class SliceState {
 public:
  SliceState(Value input, Int slices, Value fill)
      : input_(std::move(input)), slices_(slices), fill_(std::move(fill)) {}

  Result<Item> next(Runtime& rt) {
    if (!ready_) {
      ready_ = true;
      BUNDLE_TRY(items_, to_items(rt, input_));
      if (slices_ == 0) return render_error("integer division or modulo by zero");
    }
    if (at_ >= slices_) return Item();
    const Int size = static_cast<Int>(items_.size());
    const Int each = size / slices_;
    const Int longer = size % slices_;
    const Int start = at_ * each + std::min(at_, longer);
    const Int end = start + each + (at_ < longer ? 1 : 0);
    std::vector<Value> part(items_.begin() + static_cast<std::ptrdiff_t>(start),
                            items_.begin() + static_cast<std::ptrdiff_t>(end));
    if (!fill_.is(Kind::kNone) && at_ >= longer) part.push_back(fill_);
    ++at_;
    BUNDLE_TRY(Value list, rt.list(std::move(part)));
    return Item(std::move(list));
  }

 private:
  Value input_;
  Int slices_;
  Value fill_;
  bool ready_ = false;
  std::vector<Value> items_;
  Int at_ = 0;
};

Result<Value> filter_slice(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("slice", {"value", "slices", "fill_with"}, 2, std::move(args)));
  BUNDLE_TRY(const Int slices, p.integer(1, 0));
  const Value fill = p.value_or(2, Value());
  const int depth = std::max(depth_of(p.at(0)), depth_of(fill)) + 1;
  return generate<SliceState>(rt, depth, p.at(0), slices, fill);
}

}  // namespace

BuiltinFunction find_lazy_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, BuiltinFunction> kFilters = {
      {"map", filter_map},
      {"select", filter_select<true, false>},
      {"reject", filter_select<false, false>},
      {"selectattr", filter_select<true, true>},
      {"rejectattr", filter_select<false, true>},
      {"unique", filter_unique},
      {"items", filter_items},
      {"batch", filter_batch},
      {"slice", filter_slice}};
  const auto at = kFilters.find(name);
  return at == kFilters.end() ? nullptr : at->second;
}

BuiltinFunction find_filter(std::string_view name) {
  for (const auto find :
       {find_text_filter, find_sequence_filter, find_lazy_filter, find_scalar_filter}) {
    if (const BuiltinFunction found = find(name)) return found;
  }
  return nullptr;
}

}  // namespace bundle::chat
