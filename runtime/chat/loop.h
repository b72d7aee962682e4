// The `loop` variable.
#pragma once

#include <string_view>

#include "runtime/chat/interpreter.h"

namespace bundle::chat {

/// Drives a loop, and answers loop.index, loop.last and the others. Looking ahead takes the next
/// item early; asking for the length of something that has none takes them all.
class Loop final : public MutableObject {
 public:
  /// `recursive`: the statement that loop(…) renders again, or null.
  Loop(Runtime& rt, Interpreter& interpreter, Value items, CursorPtr cursor, bool counts_items,
       std::int64_t depth)
      : MutableObject(rt.heap()),
        interpreter_(interpreter),
        items_(std::move(items)),
        cursor_(std::move(cursor)),
        counts_items_(counts_items),
        depth_(depth) {}
  ~Loop() override { drop_references(); }

  void set_recursive(const ForStmt& node, ActivationPtr closure) {
    recursive_ = &node;
    closure_ = std::move(closure);
  }
  /// Moves to the next item; nothing at the end.
  Result<std::optional<Value>> advance(Runtime& rt);

  std::string_view type_name() const override { return "LoopContext"; }
  Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name) override;
  Result<std::optional<std::size_t>> length(Runtime& rt) override;
  bool is_callable() const override { return true; }
  Result<Value> call(Runtime& rt, Arguments args) override;
  Result<std::string> repr(Runtime& rt) override;
  void drop_references() override;

 private:
  Result<std::int64_t> count(Runtime& rt);
  Status peek(Runtime& rt);
  Result<Value> cycle(Arguments args) const;
  Result<Value> changed(Runtime& rt, Arguments args);
  Result<std::optional<Value>> item_attribute(Runtime& rt, std::string_view name);
  Result<std::optional<Value>> method(Runtime& rt, std::string_view name);

  Interpreter& interpreter_;
  Value items_;
  CursorPtr cursor_;
  bool counts_items_;  // whether len(items_) is the number of turns
  std::int64_t depth_;
  const ForStmt* recursive_ = nullptr;
  ActivationPtr closure_;
  std::int64_t index_ = -1;  // of the current item, from 0
  std::optional<std::int64_t> count_;
  std::vector<Value> ahead_;  // taken early, the next one last
  bool exhausted_ = false;
  Value before_ = Value::missing();
  Value current_ = Value::missing();
  Value last_changed_ = Value::missing();
};

}  // namespace bundle::chat
