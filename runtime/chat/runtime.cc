#include "runtime/chat/runtime.h"

#include <algorithm>
#include <limits>

#include "runtime/chat/unicode.h"

namespace bundle::chat {

Error render_error(std::string what) { return bad_input(std::move(what)); }

Heap::Members::iterator Heap::enlist(MutableObject* object) {
  return members_.insert(members_.end(), object);
}

Heap::~Heap() {
  // All are held first: letting go of one may end the last reference to another.
  std::vector<std::shared_ptr<Object>> held;
  held.reserve(members_.size());
  for (MutableObject* member : members_) held.push_back(member->shared_from_this());
  for (const auto& member : held) member->drop_references();
}

void Heap::bury(std::vector<Value> values) {
  graves_.insert(graves_.end(), std::make_move_iterator(values.begin()),
                 std::make_move_iterator(values.end()));
  if (burying_) return;
  burying_ = true;
  while (!graves_.empty()) {
    const Value last = std::move(graves_.back());
    graves_.pop_back();
  }
  burying_ = false;
}

Status Runtime::spend(std::uint64_t steps) {
  if (steps > limits_.steps - steps_) {
    steps_ = limits_.steps;
    return bad_input(
        "the template takes too many steps (over " + std::to_string(limits_.steps) + ")", "",
        "Shorten the conversation or use another chat template.");
  }
  steps_ += steps;
  return {};
}

Status Runtime::check_size(std::uint64_t bytes) {
  if (bytes <= limits_.output_bytes) return {};
  return bad_input(
      "the template makes a value over " + std::to_string(limits_.output_bytes) + " bytes", "",
      "Shorten the conversation or use another chat template.");
}

Status Runtime::check_memory(int depth) {
  if (depth > kMaxValueDepth) {
    return render_error("values nest deeper than " + std::to_string(kMaxValueDepth));
  }
  if (heap_.meter.live / 4 > limits_.output_bytes) {
    return render_error("the template holds more than " + std::to_string(4 * limits_.output_bytes) +
                        " bytes");
  }
  return {};
}

Result<Value> Runtime::text(std::string bytes, bool markup) {
  BUNDLE_CHECK(check_size(bytes.size()));
  BUNDLE_CHECK(work(bytes.size()));
  const std::size_t length = count_code_points(bytes);
  const std::size_t held = sizeof(Text) + bytes.capacity();
  auto made = std::make_shared<const Text>(
      Text{std::move(bytes), length, markup, Charge(&heap_.meter, held)});
  BUNDLE_CHECK(check_memory(0));
  return Value::of(std::move(made));
}

Result<std::shared_ptr<const Sequence>> Runtime::sequence(std::vector<Value> items, bool group) {
  const std::uint64_t bytes = items.size() * sizeof(Value);
  BUNDLE_CHECK(check_size(bytes));
  BUNDLE_CHECK(work(bytes));
  int depth = 1;
  std::uint64_t weight = 1;
  for (const Value& item : items) {
    depth = std::max(depth, depth_of(item) + 1);
    if (__builtin_add_overflow(weight, weight_of(item), &weight)) {
      weight = std::numeric_limits<std::uint64_t>::max();
    }
  }
  auto made = std::make_shared<const Sequence>(Sequence{
      std::move(items), depth, weight, group, Charge(&heap_.meter, sizeof(Sequence) + bytes)});
  BUNDLE_CHECK(check_memory(depth));
  return made;
}

Result<Value> Runtime::list(std::vector<Value> items) {
  BUNDLE_TRY(auto made, sequence(std::move(items), false));
  return Value::list(std::move(made));
}

Result<Value> Runtime::tuple(std::vector<Value> items) {
  BUNDLE_TRY(auto made, sequence(std::move(items), false));
  return Value::tuple(std::move(made));
}

Result<Value> Runtime::group(Value key, Value values) {
  std::vector<Value> pair;
  pair.push_back(std::move(key));
  pair.push_back(std::move(values));
  BUNDLE_TRY(auto made, sequence(std::move(pair), true));
  return Value::tuple(std::move(made));
}

Result<Value> Runtime::dict(DictBuilder builder) {
  const std::uint64_t bytes = builder.size() * sizeof(Dict::Entry);
  BUNDLE_CHECK(check_size(bytes));
  BUNDLE_CHECK(work(bytes));
  auto made = builder.finish(&heap_.meter);
  BUNDLE_CHECK(check_memory(made->depth()));
  return Value::of(std::move(made));
}

Result<Value> Runtime::generator(Generator::Next next, int depth) {
  BUNDLE_CHECK(spend(1));
  BUNDLE_CHECK(check_memory(depth));
  return Value::of(std::make_shared<Generator>(std::move(next), depth));
}

Result<Value> Runtime::view(Value dict, DictView::Part part) {
  BUNDLE_CHECK(check_memory(depth_of(dict)));
  return Value::of(std::make_shared<DictView>(std::move(dict), part));
}

Result<Value> Runtime::function(std::string_view name, Function::Body body, int depth) {
  BUNDLE_CHECK(check_memory(depth));
  return Value::of(std::make_shared<Function>(name, std::move(body), depth));
}

}  // namespace bundle::chat
