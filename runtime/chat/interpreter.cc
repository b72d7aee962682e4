#include "runtime/chat/interpreter.h"

#include <algorithm>

#include "runtime/chat/builtins.h"
#include "runtime/chat/loop.h"
#include "runtime/chat/namespace.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/repr.h"

namespace bundle::chat {
namespace {

/// The items of a loop that pass its test, which runs in a function of its own.
class TestedCursor final : public Cursor {
 public:
  TestedCursor(Interpreter& interpreter, const ForStmt& loop, Frame frame, CursorPtr items)
      : interpreter_(interpreter),
        loop_(loop),
        frame_(std::move(frame)),
        items_(std::move(items)) {}

  Result<std::optional<Value>> next(Runtime& rt) override {
    while (true) {
      BUNDLE_TRY(const auto item, items_->next(rt));
      if (!item) return std::optional<Value>();
      BUNDLE_TRY(auto passed, interpreter_.passes(loop_, frame_, *item));
      if (passed) return passed;
    }
  }

 private:
  Interpreter& interpreter_;
  const ForStmt& loop_;
  Frame frame_;
  CursorPtr items_;
};

}  // namespace

void Activation::drop_references() {
  heap_.bury(std::exchange(slots_, {}));
  outer_.reset();
}

Status Output::append(std::string_view text) {
  BUNDLE_CHECK(rt_.check_size(text_.size() + text.size()));
  BUNDLE_CHECK(rt_.work(text.size()));
  BUNDLE_CHECK(rt_.check_memory());
  text_ += text;
  rt_.heap().meter.live += text.size();
  return {};
}

std::string Output::take() {
  rt_.heap().meter.live -= text_.size();
  return std::exchange(text_, {});
}

Interpreter::Interpreter(const SourceText& source, Runtime& rt, Value context)
    : source_(source), rt_(rt), context_(std::move(context)), globals_(make_globals()) {}

Result<std::string> Interpreter::run(const Template& tree) {
  Output out(rt_);
  Frame frame{std::make_shared<Activation>(rt_.heap(), tree.function.slots, nullptr), &out};
  enter(tree.scope, frame);
  BUNDLE_TRY(const Flow flow, execute(tree.body, frame));
  static_cast<void>(flow);
  return out.take();
}

Value Interpreter::resolve(const std::string& name) const {
  if (const auto at = exported_.find(name); at != exported_.end()) return at->second;
  if (const Value* found = context_.dict().find(std::string_view(name))) return *found;
  if (const auto at = globals_.find(name); at != globals_.end()) return at->second;
  return Value::missing();
}

void Interpreter::enter(const Scope& scope, Frame& frame) {
  for (const Load& load : scope.loads) {
    switch (load.from) {
      case Load::From::kKept:
        break;
      case Load::From::kNothing:
        frame.locals->set(load.target, Value::missing());
        break;
      case Load::From::kContext:
        frame.locals->set(load.target, resolve(load.name));
        break;
      case Load::From::kSlot:
        frame.locals->set(load.target, frame.locals->at(load.source));
        break;
    }
  }
}

void Interpreter::leave(const Scope& scope, Frame& frame) {
  for (const Load& load : scope.loads) frame.locals->set(load.target, Value::missing());
}

Result<Flow> Interpreter::execute(const Body& body, Frame& frame) {
  for (const auto& node : body) {
    BUNDLE_TRY(const Flow flow, execute(*node, frame));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Flow> Interpreter::execute(const Stmt& node, Frame& frame) {
  BUNDLE_CHECK(rt_.spend(1));
  const Runtime::Level level(rt_.levels);
  if (rt_.too_deep()) return placed(render_error("the template is nested too deep"), node.at);
  Result<Flow> flow = dispatch(node, frame);
  if (flow.has_error()) return placed(std::move(flow).error(), node.at);
  return flow;
}

Result<Flow> Interpreter::dispatch(const Stmt& node, Frame& frame) {
  const auto next = [](const Status& status) -> Result<Flow> {
    BUNDLE_CHECK(status);
    return Flow::kNext;
  };
  switch (node.kind) {
    case StmtKind::kOutput:
      return next(output(static_cast<const OutputStmt&>(node), frame));
    case StmtKind::kFor:
      return loop(static_cast<const ForStmt&>(node), frame);
    case StmtKind::kIf:
      return branch(static_cast<const IfStmt&>(node), frame);
    case StmtKind::kMacro:
      return next(define_macro(static_cast<const MacroStmt&>(node), frame));
    case StmtKind::kCallBlock:
      return next(call_block(static_cast<const CallBlockStmt&>(node), frame));
    case StmtKind::kFilterBlock:
      return filter_block(static_cast<const FilterBlockStmt&>(node), frame);
    case StmtKind::kWith:
      return with(static_cast<const WithStmt&>(node), frame);
    case StmtKind::kSet:
      return next(set(static_cast<const SetStmt&>(node), frame));
    case StmtKind::kSetBlock:
      return set_block(static_cast<const SetBlockStmt&>(node), frame);
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
    case StmtKind::kScope:
      return scope(static_cast<const ScopeStmt&>(node), frame);
    case StmtKind::kBlock:
      return next(block(static_cast<const BlockStmt&>(node), frame));
    case StmtKind::kUnavailable:
      break;
  }
  return render_error("'" + static_cast<const UnavailableStmt&>(node).what +
                      "' is not offered: a chat template stands alone");
}

Status Interpreter::output(const OutputStmt& node, Frame& frame) {
  for (const auto& part : node.parts) {
    BUNDLE_TRY(const Value value, evaluate(*part, frame));
    if (value.is(Kind::kString)) {
      BUNDLE_CHECK(frame.out->append(value.str()));
      continue;
    }
    BUNDLE_TRY(const std::string text, to_str(rt_, value));
    BUNDLE_CHECK(frame.out->append(text));
  }
  return {};
}

Result<Flow> Interpreter::branch(const IfStmt& node, Frame& frame) {
  for (const auto& candidate : node.branches) {
    BUNDLE_TRY(const Value test, evaluate(*candidate.test, frame));
    if (truthy(test)) return execute(candidate.body, frame);
  }
  return execute(node.otherwise, frame);
}

Result<Flow> Interpreter::loop(const ForStmt& node, Frame& frame) {
  BUNDLE_TRY(const Value items, evaluate(*node.iterable, frame));
  if (!node.recursive) return run_loop(node, items, frame, frame.locals, 0);
  BUNDLE_TRY(const Value text, recurse(node, frame.locals, items, 0));
  BUNDLE_CHECK(frame.out->append(text.str()));
  return Flow::kNext;
}

Result<Value> Interpreter::recurse(const ForStmt& node, const ActivationPtr& closure,
                                   const Value& items, std::int64_t depth) {
  const Runtime::Level call(rt_.calls);
  if (rt_.too_deep()) return render_error("the loop recurses too deep");
  Output out(rt_);
  Frame frame{std::make_shared<Activation>(rt_.heap(), node.function.slots, closure), &out};
  BUNDLE_TRY(const Flow flow, run_loop(node, items, frame, closure, depth));
  static_cast<void>(flow);
  return rt_.text(out.take());
}

Result<CursorPtr> Interpreter::open_loop(const ForStmt& node, const Value& items,
                                         const ActivationPtr& closure) {
  BUNDLE_TRY(CursorPtr cursor, iterate(rt_, items));
  if (node.test == nullptr) return cursor;
  Frame frame{std::make_shared<Activation>(rt_.heap(), node.test_function.slots, closure), nullptr};
  enter(node.test_scope, frame);
  return CursorPtr(new TestedCursor(*this, node, std::move(frame), std::move(cursor)));
}

Result<std::optional<Value>> Interpreter::passes(const ForStmt& node, Frame& frame,
                                                 const Value& item) {
  BUNDLE_CHECK(assign(*node.test_target, item, frame));
  BUNDLE_TRY(const Value test, evaluate(*node.test, frame));
  if (!truthy(test)) return std::optional<Value>();
  BUNDLE_TRY(Value rebuilt, rebuild(*node.test_target, frame));
  return std::optional(std::move(rebuilt));
}

/// The value of a target: what was assigned, with iterators unpacked into tuples.
Result<Value> Interpreter::rebuild(const Expr& target, Frame& frame) {
  if (target.kind == ExprKind::kName) return frame.locals->at(target.slot);
  std::vector<Value> items;
  for (const auto& child : target.children) {
    BUNDLE_TRY(Value item, rebuild(*child, frame));
    items.push_back(std::move(item));
  }
  return rt_.tuple(std::move(items));
}

Result<Flow> Interpreter::run_loop(const ForStmt& node, const Value& items, Frame& frame,
                                   const ActivationPtr& closure, std::int64_t depth) {
  BUNDLE_TRY(CursorPtr cursor, open_loop(node, items, closure));
  std::shared_ptr<Loop> variable;
  if (node.has_loop_variable) {
    variable =
        std::make_shared<Loop>(rt_, *this, items, std::move(cursor), node.test == nullptr, depth);
    if (node.recursive) variable->set_recursive(node, closure);
  }
  bool finished_a_turn = false;
  while (true) {
    BUNDLE_CHECK(rt_.spend(1));
    BUNDLE_TRY(auto item, variable != nullptr ? variable->advance(rt_) : cursor->next(rt_));
    if (!item) break;
    BUNDLE_CHECK(assign(*node.target, *std::move(item), frame));
    if (variable != nullptr) frame.locals->set(node.loop_slot, Value::of(variable));
    enter(node.scope, frame);
    BUNDLE_TRY(const Flow flow, execute(node.body, frame));
    if (flow == Flow::kBreak) break;
    // Only a turn that runs to its end counts here: Jinja's own rule for `else`.
    if (flow == Flow::kNext) finished_a_turn = true;
  }
  leave(node.scope, frame);
  if (finished_a_turn || node.otherwise.empty()) return Flow::kNext;
  enter(node.otherwise_scope, frame);
  BUNDLE_TRY(const Flow flow, execute(node.otherwise, frame));
  leave(node.otherwise_scope, frame);
  return flow;
}

Status Interpreter::define_macro(const MacroStmt& node, Frame& frame) {
  BUNDLE_TRY(Value macro, make_macro(node.macro, frame));
  frame.locals->set(node.slot, std::move(macro));
  export_names(node.exports, frame);
  return {};
}

Status Interpreter::write_text(const Value& value, Frame& frame) {
  if (value.is(Kind::kString)) return frame.out->append(value.str());
  return render_error("a block must give a string, not '" + std::string(type_name(value)) + "'");
}

Status Interpreter::call_block(const CallBlockStmt& node, Frame& frame) {
  if (node.call == nullptr) {
    BUNDLE_TRY(const Value text, invoke(node.caller, frame.locals, {}));
    return write_text(text, frame);
  }
  BUNDLE_TRY(const Value caller, make_macro(node.caller, frame));
  BUNDLE_TRY(const Value text, evaluate_call(*node.call, frame, &caller));
  return write_text(text, frame);
}

Result<Flow> Interpreter::filter_block(const FilterBlockStmt& node, Frame& frame) {
  Output out(rt_);
  Frame inside{frame.locals, &out};
  enter(node.scope, inside);
  BUNDLE_TRY(const Flow flow, execute(node.body, inside));
  if (flow != Flow::kNext) return flow;
  BUNDLE_TRY(inside.block_text, rt_.text(out.take()));
  BUNDLE_TRY(const Value text, evaluate(*node.filter, inside));
  BUNDLE_CHECK(write_text(text, frame));
  leave(node.scope, inside);
  return Flow::kNext;
}

Result<Flow> Interpreter::with(const WithStmt& node, Frame& frame) {
  enter(node.scope, frame);
  for (std::size_t i = 0; i < node.targets.size(); ++i) {
    BUNDLE_TRY(Value value, evaluate(*node.values[i], frame));
    BUNDLE_CHECK(assign(*node.targets[i], std::move(value), frame));
  }
  BUNDLE_TRY(const Flow flow, execute(node.body, frame));
  leave(node.scope, frame);
  return flow;
}

Status Interpreter::set(const SetStmt& node, Frame& frame) {
  BUNDLE_CHECK(check_namespaces(*node.target, frame));
  BUNDLE_TRY(Value value, evaluate(*node.value, frame));
  BUNDLE_CHECK(assign(*node.target, std::move(value), frame));
  export_names(node.exports, frame);
  return {};
}

Result<Flow> Interpreter::set_block(const SetBlockStmt& node, Frame& frame) {
  Output out(rt_);
  Frame inside{frame.locals, &out};
  enter(node.scope, inside);
  BUNDLE_TRY(const Flow flow, execute(node.body, inside));
  if (flow != Flow::kNext) return flow;
  BUNDLE_TRY(Value value, rt_.text(out.take()));
  if (node.filter != nullptr) {
    inside.block_text = value;
    BUNDLE_TRY(value, evaluate(*node.filter, inside));
  }
  BUNDLE_CHECK(assign(*node.target, std::move(value), frame));
  export_names(node.exports, frame);
  leave(node.scope, inside);
  return Flow::kNext;
}

Result<Flow> Interpreter::scope(const ScopeStmt& node, Frame& frame) {
  enter(node.scope, frame);
  BUNDLE_TRY(const Flow flow, execute(node.body, frame));
  leave(node.scope, frame);
  return flow;
}

Status Interpreter::block(const BlockStmt& node, Frame& frame) {
  Frame inside{std::make_shared<Activation>(rt_.heap(), node.function.slots, nullptr), frame.out};
  enter(node.scope, inside);
  BUNDLE_TRY(const Flow flow, execute(node.body, inside));
  static_cast<void>(flow);
  return {};
}

void Interpreter::export_names(const std::vector<Export>& exports, Frame& frame) {
  for (const Export& name : exports) exported_[name.name] = frame.locals->at(name.slot);
}

Status Interpreter::check_namespaces(const Expr& target, Frame& frame) const {
  if (target.kind == ExprKind::kNamespaceRef &&
      frame.locals->at(target.slot).as<Namespace>() == nullptr) {
    return render_error("cannot assign attribute on non-namespace object");
  }
  for (const auto& child : target.children) BUNDLE_CHECK(check_namespaces(*child, frame));
  return {};
}

Status Interpreter::assign_attribute(const Expr& target, Value value, Frame& frame) {
  // Evaluating the value may have changed the name.
  auto* space = frame.locals->at(target.slot).as<Namespace>();
  if (space == nullptr) return render_error("cannot assign attribute on non-namespace object");
  return space->set(rt_, Value::text(target.attribute), std::move(value));
}

Status Interpreter::assign(const Expr& target, Value value, Frame& frame) {
  if (target.kind == ExprKind::kName) {
    frame.locals->set(target.slot, std::move(value));
    return {};
  }
  if (target.kind == ExprKind::kNamespaceRef) {
    return assign_attribute(target, std::move(value), frame);
  }
  const std::size_t wanted = target.children.size();
  BUNDLE_TRY(const CursorPtr cursor, iterate(rt_, value));
  std::vector<Value> items;
  while (items.size() <= wanted) {
    BUNDLE_TRY(auto item, cursor->next(rt_));
    if (!item) break;
    items.push_back(*std::move(item));
  }
  if (items.size() != wanted) {
    return placed(render_error(std::string(items.size() < wanted ? "not enough" : "too many") +
                               " values to unpack (expected " + std::to_string(wanted) + ")"),
                  target.at);
  }
  for (std::size_t i = 0; i < wanted; ++i) {
    BUNDLE_CHECK(assign(*target.children[i], std::move(items[i]), frame));
  }
  return {};
}

}  // namespace bundle::chat
