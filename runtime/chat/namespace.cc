#include "runtime/chat/namespace.h"

#include <algorithm>

#include "runtime/chat/parameters.h"
#include "runtime/chat/repr.h"

namespace bundle::chat {

Result<std::optional<Value>> Namespace::attribute(Runtime& rt, std::string_view name) {
  BUNDLE_CHECK(rt.spend(1 + attributes_.size() / 8));
  for (const auto& [key, value] : attributes_) {
    if (key.is(Kind::kString) && key.str() == name) return std::optional(value);
  }
  return std::optional<Value>();
}

Result<std::string> Namespace::repr(Runtime& rt) {
  DictBuilder builder;
  for (const auto& [key, value] : attributes_) builder.add_new(key, value);
  BUNDLE_TRY(const Value dict, rt.dict(std::move(builder)));
  BUNDLE_TRY(const std::string text, to_repr(rt, dict));
  return "<Namespace " + text + ">";
}

void Namespace::drop_references() {
  std::vector<Value> values;
  for (auto& [key, value] : attributes_) values.push_back(std::move(value));
  attributes_.clear();
  heap_.bury(std::move(values));
}

Status Namespace::set(Runtime& rt, const Value& name, Value value) {
  BUNDLE_CHECK(rt.spend(1 + attributes_.size() / 8));
  if (name.is(Kind::kString) && !name.str().empty() && name.str()[0] == '_') {
    return render_error("a namespace can not have the attribute '" + name.str() +
                        "', which starts with an underscore");
  }
  for (auto& [key, held] : attributes_) {
    if (compare_keys(key, name) != 0) continue;
    heap_.bury({std::exchange(held, std::move(value))});
    return {};
  }
  attributes_.emplace_back(name, std::move(value));
  charge_ = Charge(&heap_.meter, attributes_.size() * 2 * sizeof(Value));
  return {};
}

Result<std::optional<Value>> Cycler::attribute(Runtime& rt, std::string_view name) {
  if (name == "current") return std::optional(current());
  if (name == "items") return std::optional(items_);
  if (name == "pos") return std::optional(Value::integer(static_cast<std::int64_t>(at_)));
  if (name != "next" && name != "reset") return std::optional<Value>();
  const auto self = std::static_pointer_cast<Cycler>(shared_from_this());
  const bool moves = name == "next";
  BUNDLE_TRY(Value bound,
             rt.function(
                 name,
                 [self, moves](Runtime&, Arguments args) -> Result<Value> {
                   BUNDLE_TRY(const auto p, Parameters::bind("cycler", {}, 0, std::move(args)));
                   const Value now = self->current();
                   self->at_ = moves ? (self->at_ + 1) % self->items_.items().size() : 0;
                   return moves ? now : Value();
                 },
                 depth()));
  return std::optional(std::move(bound));
}

Result<Value> Joiner::call(Runtime&, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("joiner", {}, 0, std::move(args)));
  return std::exchange(used_, true) ? separator_ : Value::text("");
}

}  // namespace bundle::chat
