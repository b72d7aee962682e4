#include "runtime/chat/loop.h"

#include <algorithm>

#include "runtime/chat/operators.h"
#include "runtime/chat/parameters.h"

namespace bundle::chat {

void Loop::drop_references() {
  std::vector<Value> values = std::move(ahead_);
  ahead_.clear();
  for (Value* value : {&before_, &current_, &last_changed_, &items_}) {
    values.push_back(std::exchange(*value, Value::missing()));
  }
  cursor_.reset();
  closure_.reset();
  exhausted_ = true;
  heap_.bury(std::move(values));
}

Status Loop::peek(Runtime& rt) {
  if (!ahead_.empty() || exhausted_) return {};
  BUNDLE_TRY(auto item, cursor_->next(rt));
  if (item) {
    ahead_.push_back(*std::move(item));
  } else {
    exhausted_ = true;
  }
  return {};
}

Result<std::optional<Value>> Loop::advance(Runtime& rt) {
  BUNDLE_CHECK(peek(rt));
  if (ahead_.empty()) return std::optional<Value>();
  Value next = std::move(ahead_.back());
  ahead_.pop_back();
  ++index_;
  heap_.bury({std::exchange(before_, std::exchange(current_, next))});
  return std::optional(std::move(next));
}

Result<std::int64_t> Loop::count(Runtime& rt) {
  if (count_) return *count_;
  if (counts_items_) {
    BUNDLE_TRY(const auto known, find_length(rt, items_));
    if (known) count_ = static_cast<std::int64_t>(*known);
  }
  if (!count_) {
    std::vector<Value> rest = std::move(ahead_);
    ahead_.clear();
    while (!exhausted_) {
      BUNDLE_CHECK(peek(rt));
      if (ahead_.empty()) break;
      rest.push_back(std::move(ahead_.back()));
      ahead_.pop_back();
      BUNDLE_CHECK(rt.check_size(rest.size() * sizeof(Value)));
    }
    std::reverse(rest.begin(), rest.end());
    ahead_ = std::move(rest);
    count_ = index_ + 1 + static_cast<std::int64_t>(ahead_.size());
  }
  return *count_;
}

Result<std::optional<std::size_t>> Loop::length(Runtime& rt) {
  BUNDLE_TRY(const std::int64_t n, count(rt));
  return std::optional(static_cast<std::size_t>(n));
}

Result<std::optional<Value>> Loop::attribute(Runtime& rt, std::string_view name) {
  const auto number = [](std::int64_t n) { return std::optional(Value::integer(n)); };
  if (name == "index") return number(index_ + 1);
  if (name == "index0") return number(index_);
  if (name == "first") return std::optional(Value(index_ == 0));
  if (name == "depth") return number(depth_ + 1);
  if (name == "depth0") return number(depth_);
  if (name == "length" || name == "revindex" || name == "revindex0") {
    BUNDLE_TRY(const std::int64_t n, count(rt));
    return number(name == "length" ? n : name == "revindex" ? n - index_ : n - index_ - 1);
  }
  if (name == "cycle" || name == "changed") return method(rt, name);
  return item_attribute(rt, name);
}

Result<std::optional<Value>> Loop::item_attribute(Runtime& rt, std::string_view name) {
  if (name == "previtem") {
    return std::optional(index_ == 0 ? Value::undefined("there is no previous item") : before_);
  }
  if (name != "last" && name != "nextitem") return std::optional<Value>();
  BUNDLE_CHECK(peek(rt));
  if (name == "last") return std::optional(Value(ahead_.empty()));
  return std::optional(ahead_.empty() ? Value::undefined("there is no next item") : ahead_.back());
}

Result<std::optional<Value>> Loop::method(Runtime& rt, std::string_view name) {
  const auto self = std::static_pointer_cast<Loop>(shared_from_this());
  const bool cycles = name == "cycle";
  BUNDLE_TRY(Value bound, rt.function(
                              name,
                              [self, cycles](Runtime& at, Arguments args) {
                                return cycles ? self->cycle(std::move(args))
                                              : self->changed(at, std::move(args));
                              },
                              1));
  return std::optional(std::move(bound));
}

Result<Value> Loop::cycle(Arguments args) const {
  if (!args.named.empty()) return render_error("cycle takes no keyword arguments");
  if (args.positional.empty()) return render_error("no items for cycling given");
  return args.positional[static_cast<std::size_t>(index_) % args.positional.size()];
}

Result<Value> Loop::changed(Runtime& rt, Arguments args) {
  if (!args.named.empty()) return render_error("changed takes no keyword arguments");
  BUNDLE_TRY(const Value value, rt.tuple(std::move(args.positional)));
  if (!last_changed_.is(Kind::kMissing)) {
    BUNDLE_TRY(const bool same, equal(rt, last_changed_, value));
    if (same) return Value(false);
  }
  heap_.bury({std::exchange(last_changed_, value)});
  return Value(true);
}

Result<Value> Loop::call(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("loop", {"iterable"}, 1, std::move(args)));
  if (recursive_ == nullptr) {
    return render_error("The loop must have the 'recursive' marker to be called recursively.");
  }
  BUNDLE_CHECK(rt.spend(1));
  return interpreter_.recurse(*recursive_, closure_, p.at(0), depth_ + 1);
}

Result<std::string> Loop::repr(Runtime& rt) {
  BUNDLE_TRY(const std::int64_t n, count(rt));
  return "<LoopContext " + std::to_string(index_ + 1) + "/" + std::to_string(n) + ">";
}

}  // namespace bundle::chat
