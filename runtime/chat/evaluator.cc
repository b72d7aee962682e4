// Expressions.
#include "runtime/chat/interpreter.h"
#include "runtime/chat/lookup.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/repr.h"

namespace bundle::chat {

Error Interpreter::placed(Error error, std::uint32_t at) const {
  if (error.where.empty()) error.where = source_.place(at);
  return error;
}

Result<Value> Interpreter::evaluate(const Expr& node, Frame& frame) {
  BUNDLE_CHECK(rt_.spend(1));
  if (node.kind == ExprKind::kConst) return node.value;
  if (node.kind == ExprKind::kName) {
    const Value& value = frame.locals->at(node.slot);
    if (!value.is(Kind::kMissing)) return value;
    return Value::undefined("'" + node.name + "' is undefined");
  }
  const Runtime::Level level(rt_.levels);
  if (rt_.too_deep()) return placed(render_error("the template is nested too deep"), node.at);
  Result<Value> value = evaluate_kind(node, frame);
  if (value.has_error()) return placed(std::move(value).error(), node.at);
  return value;
}

Result<Value> Interpreter::evaluate_kind(const Expr& node, Frame& frame) {
  switch (node.kind) {
    case ExprKind::kTuple:
    case ExprKind::kList:
      return evaluate_collection(node, frame);
    case ExprKind::kDict:
      return evaluate_dict(node, frame);
    case ExprKind::kNegate:
    case ExprKind::kPlus:
    case ExprKind::kNot:
      return evaluate_unary(node, frame);
    case ExprKind::kBinary:
      return evaluate_binary(node, frame);
    case ExprKind::kAnd:
    case ExprKind::kOr:
      return evaluate_logic(node, frame);
    case ExprKind::kCompare:
      return evaluate_compare(node, frame);
    case ExprKind::kConcat:
      return evaluate_concat(node, frame);
    case ExprKind::kConditional:
      return evaluate_conditional(node, frame);
    case ExprKind::kAttribute:
    case ExprKind::kItem:
      return evaluate_lookup(node, frame);
    case ExprKind::kSlice:
      return evaluate_slice(node, frame);
    case ExprKind::kCall:
      return evaluate_call(node, frame);
    case ExprKind::kFilter:
    case ExprKind::kTest:
      return evaluate_builtin(node, frame);
    default:
      return render_error("this can only be assigned to");
  }
}

Result<Value> Interpreter::evaluate_collection(const Expr& node, Frame& frame) {
  std::vector<Value> items;
  items.reserve(node.children.size());
  for (const auto& child : node.children) {
    BUNDLE_TRY(Value item, evaluate(*child, frame));
    items.push_back(std::move(item));
  }
  return node.kind == ExprKind::kList ? rt_.list(std::move(items)) : rt_.tuple(std::move(items));
}

Result<Value> Interpreter::evaluate_dict(const Expr& node, Frame& frame) {
  DictBuilder builder;
  for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
    BUNDLE_TRY(const Value key, evaluate(*node.children[i], frame));
    BUNDLE_TRY(Value value, evaluate(*node.children[i + 1], frame));
    if (!is_hashable(key)) {
      return render_error("unhashable type: '" + std::string(type_name(key)) + "'");
    }
    builder.set(key, std::move(value));
  }
  return rt_.dict(std::move(builder));
}

Result<Value> Interpreter::evaluate_unary(const Expr& node, Frame& frame) {
  BUNDLE_TRY(const Value operand, evaluate(*node.children[0], frame));
  if (node.kind == ExprKind::kNot) return Value(!truthy(operand));
  return node.kind == ExprKind::kNegate ? negate(operand) : plus(operand);
}

Result<Value> Interpreter::evaluate_binary(const Expr& node, Frame& frame) {
  BUNDLE_TRY(const Value left, evaluate(*node.children[0], frame));
  BUNDLE_TRY(const Value right, evaluate(*node.children[1], frame));
  return binary(rt_, node.binary_op, left, right);
}

Result<Value> Interpreter::evaluate_logic(const Expr& node, Frame& frame) {
  BUNDLE_TRY(Value left, evaluate(*node.children[0], frame));
  if (truthy(left) == (node.kind == ExprKind::kOr)) return left;
  return evaluate(*node.children[1], frame);
}

Result<Value> Interpreter::evaluate_compare(const Expr& node, Frame& frame) {
  BUNDLE_TRY(Value left, evaluate(*node.children[0], frame));
  for (std::size_t i = 0; i < node.compare_ops.size(); ++i) {
    BUNDLE_TRY(Value right, evaluate(*node.children[i + 1], frame));
    BUNDLE_TRY(const bool holds, compare(rt_, node.compare_ops[i], left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Interpreter::evaluate_concat(const Expr& node, Frame& frame) {
  std::vector<Value> parts;
  for (const auto& child : node.children) {
    BUNDLE_TRY(Value part, evaluate(*child, frame));
    parts.push_back(std::move(part));
  }
  std::string text;
  for (const Value& part : parts) {
    BUNDLE_TRY(const std::string piece, to_str(rt_, part));
    text += piece;
    BUNDLE_CHECK(rt_.check_size(text.size()));
  }
  return rt_.text(std::move(text));
}

Result<Value> Interpreter::evaluate_conditional(const Expr& node, Frame& frame) {
  BUNDLE_TRY(const Value condition, evaluate(*node.children[0], frame));
  if (truthy(condition)) return evaluate(*node.children[1], frame);
  if (node.children[2] != nullptr) return evaluate(*node.children[2], frame);
  return Value::undefined(
      "the inline if-expression evaluated to false and no else section was defined");
}

Result<Value> Interpreter::evaluate_lookup(const Expr& node, Frame& frame) {
  BUNDLE_TRY(const Value object, evaluate(*node.children[0], frame));
  if (node.kind == ExprKind::kAttribute) return get_attribute(rt_, object, node.name);
  BUNDLE_TRY(const Value key, evaluate(*node.children[1], frame));
  return get_item(rt_, object, key);
}

Result<Value> Interpreter::evaluate_or_none(const ExprPtr& node, Frame& frame) {
  if (node == nullptr) return Value();
  return evaluate(*node, frame);
}

Result<Value> Interpreter::evaluate_slice(const Expr& node, Frame& frame) {
  BUNDLE_TRY(const Value object, evaluate(*node.children[0], frame));
  BUNDLE_TRY(const Value start, evaluate_or_none(node.children[1], frame));
  BUNDLE_TRY(const Value stop, evaluate_or_none(node.children[2], frame));
  BUNDLE_TRY(const Value step, evaluate_or_none(node.children[3], frame));
  return get_slice(rt_, object, start, stop, step);
}

Status Interpreter::spread_named(const Value& value, Arguments& out) {
  if (!value.is(Kind::kDict)) {
    return render_error("argument after ** must be a mapping, not " +
                        std::string(type_name(value)));
  }
  for (const auto& entry : value.dict().entries()) {
    if (!entry.key.is(Kind::kString)) return render_error("keywords must be strings");
    for (const auto& [name, given] : out.named) {
      if (name == entry.key.str()) return render_error("got two values for '" + name + "'");
    }
    out.named.emplace_back(entry.key.str(), entry.value);
    BUNDLE_CHECK(rt_.spend(1 + out.named.size() / 8));
  }
  return {};
}

Status Interpreter::evaluate_arguments(const CallArguments& args, Frame& frame, Arguments& out) {
  for (const auto& arg : args.positional) {
    BUNDLE_TRY(Value value, evaluate(*arg, frame));
    out.positional.push_back(std::move(value));
  }
  for (const auto& [name, arg] : args.named) {
    BUNDLE_TRY(Value value, evaluate(*arg, frame));
    out.named.emplace_back(name, std::move(value));
  }
  if (args.star != nullptr) {
    BUNDLE_TRY(const Value value, evaluate(*args.star, frame));
    BUNDLE_TRY(auto items, to_items(rt_, value));
    for (auto& item : items) out.positional.push_back(std::move(item));
  }
  if (args.star_star != nullptr) {
    BUNDLE_TRY(const Value value, evaluate(*args.star_star, frame));
    BUNDLE_CHECK(spread_named(value, out));
  }
  return {};
}

Result<Value> Interpreter::evaluate_call(const Expr& node, Frame& frame, const Value* caller) {
  BUNDLE_TRY(const Value callee, evaluate(*node.children[0], frame));
  Arguments args;
  BUNDLE_CHECK(evaluate_arguments(*node.args, frame, args));
  if (caller != nullptr) args.named.emplace_back("caller", *caller);
  return call(rt_, callee, std::move(args));
}

Result<Value> Interpreter::evaluate_builtin(const Expr& node, Frame& frame) {
  Arguments args;
  if (node.children[0] == nullptr) {
    args.positional.push_back(frame.block_text);
  } else {
    BUNDLE_TRY(Value input, evaluate(*node.children[0], frame));
    args.positional.push_back(std::move(input));
  }
  if (node.args != nullptr) BUNDLE_CHECK(evaluate_arguments(*node.args, frame, args));
  if (node.function == nullptr) return render_error("there is nothing named '" + node.name + "'");
  return node.function(rt_, std::move(args));
}

}  // namespace bundle::chat
