// Runs a template: walks its statements, and writes text.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/chat/ast.h"
#include "runtime/chat/runtime.h"
#include "runtime/chat/source_text.h"

namespace bundle::chat {

/// The variables of one running function. Macros defined in it keep it alive.
class Activation final : public MutableObject {
 public:
  Activation(Heap& heap, std::uint32_t slots, std::shared_ptr<Activation> outer)
      : MutableObject(heap),
        slots_(slots, Value::missing()),
        outer_(std::move(outer)),
        charge_(&heap.meter, slots * sizeof(Value)) {}
  ~Activation() override { drop_references(); }

  std::string_view type_name() const override { return "frame"; }
  void drop_references() override;

  Value& at(Slot slot) {
    Activation* a = this;
    for (std::uint32_t i = 0; i < slot.hops; ++i) a = a->outer_.get();
    return a->slots_[slot.index];
  }
  /// Sets a slot; what it held dies without recursion.
  void set(Slot slot, Value value) { heap_.bury({std::exchange(at(slot), std::move(value))}); }

 private:
  std::vector<Value> slots_;
  std::shared_ptr<Activation> outer_;
  Charge charge_;
};
using ActivationPtr = std::shared_ptr<Activation>;

/// Text being written, counted against the budgets.
class Output {
 public:
  explicit Output(Runtime& rt) : rt_(rt) {}
  ~Output() { rt_.heap().meter.live -= text_.size(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  Status append(std::string_view text);
  const std::string& text() const { return text_; }
  std::string take();

 private:
  Runtime& rt_;
  std::string text_;
};

/// Where execution is: the variables in reach and the text being written.
struct Frame {
  ActivationPtr locals;
  Output* out;
  Value block_text = {};  // what a filter without input works on
};

enum class Flow { kNext, kBreak, kContinue };

/// Not thread-safe. Must die before the runtime.
class Interpreter {
 public:
  Interpreter(const SourceText& source, Runtime& rt, Value context);

  Result<std::string> run(const Template& tree);

  /// Calls a macro whose definition stood in `closure`.
  Result<Value> invoke(const MacroBody& macro, const ActivationPtr& closure, Arguments args);
  /// Renders a recursive loop over `items`; `depth` counts from 0.
  Result<Value> recurse(const ForStmt& loop, const ActivationPtr& closure, const Value& items,
                        std::int64_t depth);
  /// Whether an item passes the test of a loop, whose variables live in `locals`; then the item.
  Result<std::optional<Value>> passes(const ForStmt& loop, Frame& frame, const Value& item);

 private:
  // Statements.
  Result<Flow> execute(const Body& body, Frame& frame);
  Result<Flow> execute(const Stmt& node, Frame& frame);
  Result<Flow> dispatch(const Stmt& node, Frame& frame);
  Status output(const OutputStmt& node, Frame& frame);
  Result<Flow> branch(const IfStmt& node, Frame& frame);
  Result<Flow> loop(const ForStmt& node, Frame& frame);
  Result<Flow> run_loop(const ForStmt& node, const Value& items, Frame& frame,
                        const ActivationPtr& closure, std::int64_t depth);
  Result<CursorPtr> open_loop(const ForStmt& node, const Value& items,
                              const ActivationPtr& closure);
  Status define_macro(const MacroStmt& node, Frame& frame);
  Status call_block(const CallBlockStmt& node, Frame& frame);
  Result<Flow> filter_block(const FilterBlockStmt& node, Frame& frame);
  Result<Flow> with(const WithStmt& node, Frame& frame);
  Status set(const SetStmt& node, Frame& frame);
  Result<Flow> set_block(const SetBlockStmt& node, Frame& frame);
  Result<Flow> scope(const ScopeStmt& node, Frame& frame);
  Status block(const BlockStmt& node, Frame& frame);
  Status write_text(const Value& value, Frame& frame);

  void enter(const Scope& scope, Frame& frame);
  static void leave(const Scope& scope, Frame& frame);
  Value resolve(const std::string& name) const;
  Status assign(const Expr& target, Value value, Frame& frame);
  Status assign_attribute(const Expr& target, Value value, Frame& frame);
  Status check_namespaces(const Expr& target, Frame& frame) const;
  void export_names(const std::vector<Export>& exports, Frame& frame);
  Result<Value> rebuild(const Expr& target, Frame& frame);

  // Macros.
  Result<Value> make_macro(const MacroBody& macro, const Frame& frame);
  Status bind(const MacroBody& macro, Arguments args, Activation& locals);
  Status bind_rest(const MacroBody& macro, Arguments args, Activation& locals);

  // Expressions.
  Result<Value> evaluate(const Expr& node, Frame& frame);
  Result<Value> evaluate_kind(const Expr& node, Frame& frame);
  Result<Value> evaluate_collection(const Expr& node, Frame& frame);
  Result<Value> evaluate_dict(const Expr& node, Frame& frame);
  Result<Value> evaluate_unary(const Expr& node, Frame& frame);
  Result<Value> evaluate_binary(const Expr& node, Frame& frame);
  Result<Value> evaluate_logic(const Expr& node, Frame& frame);
  Result<Value> evaluate_compare(const Expr& node, Frame& frame);
  Result<Value> evaluate_concat(const Expr& node, Frame& frame);
  Result<Value> evaluate_conditional(const Expr& node, Frame& frame);
  Result<Value> evaluate_lookup(const Expr& node, Frame& frame);
  Result<Value> evaluate_slice(const Expr& node, Frame& frame);
  Result<Value> evaluate_call(const Expr& node, Frame& frame, const Value* caller = nullptr);
  Result<Value> evaluate_builtin(const Expr& node, Frame& frame);
  Status evaluate_arguments(const CallArguments& args, Frame& frame, Arguments& out);
  Status spread_named(const Value& value, Arguments& out);
  Result<Value> evaluate_or_none(const ExprPtr& node, Frame& frame);

  /// The error with its place in the template, unless it has one.
  Error placed(Error error, std::uint32_t at) const;

  const SourceText& source_;
  Runtime& rt_;
  Value context_;
  std::map<std::string, Value, std::less<>> globals_;
  std::map<std::string, Value, std::less<>> exported_;  // set at the top level
};

}  // namespace bundle::chat
