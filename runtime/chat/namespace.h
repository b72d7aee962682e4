// The objects that templates make with namespace(), cycler() and joiner().
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/chat/runtime.h"

namespace bundle::chat {

/// The one thing whose attributes a template can set. Names that start with "_" are refused.
class Namespace final : public MutableObject {
 public:
  explicit Namespace(Heap& heap) : MutableObject(heap) {}
  ~Namespace() override { drop_references(); }

  std::string_view type_name() const override { return "Namespace"; }
  Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name) override;
  Result<std::string> repr(Runtime& rt) override;
  void drop_references() override;

  Status set(Runtime& rt, const Value& name, Value value);

 private:
  std::vector<std::pair<Value, Value>> attributes_;  // few, in order of assignment
  Charge charge_;
};

/// Gives its items in turn, over and over.
class Cycler final : public Object {
 public:
  explicit Cycler(Value items) : items_(std::move(items)) {}

  std::string_view type_name() const override { return "Cycler"; }
  int depth() const override { return depth_of(items_) + 1; }
  Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name) override;

 private:
  Value current() const { return items_.items()[at_]; }

  Value items_;  // a tuple that is not empty
  std::size_t at_ = 0;
};

/// Empty the first time it is called, its separator from then on.
class Joiner final : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}

  std::string_view type_name() const override { return "Joiner"; }
  int depth() const override { return depth_of(separator_) + 1; }
  bool is_callable() const override { return true; }
  Result<Value> call(Runtime& rt, Arguments args) override;

 private:
  Value separator_;
  bool used_ = false;
};

}  // namespace bundle::chat
