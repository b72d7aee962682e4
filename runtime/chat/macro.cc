// Macros: how they are made, and how a call's arguments reach their parameters.
#include <algorithm>

#include "runtime/chat/interpreter.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/repr.h"

namespace bundle::chat {
namespace {

/// A macro, or the caller of a call block. Holds the variables around its definition.
class Macro final : public MutableObject {
 public:
  Macro(Runtime& rt, Interpreter& interpreter, const MacroBody& body, ActivationPtr closure)
      : MutableObject(rt.heap()),
        interpreter_(interpreter),
        body_(body),
        closure_(std::move(closure)) {}

  std::string_view type_name() const override { return "Macro"; }
  bool is_callable() const override { return true; }
  Result<Value> call(Runtime&, Arguments args) override {
    const ActivationPtr closure = closure_;
    return interpreter_.invoke(body_, closure, std::move(args));
  }
  Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name) override;
  Result<std::string> repr(Runtime&) override {
    return "<Macro " + (body_.name.empty() ? "anonymous" : quote(body_.name)) + ">";
  }
  void drop_references() override { closure_.reset(); }

 private:
  Interpreter& interpreter_;
  const MacroBody& body_;
  ActivationPtr closure_;
};

Result<std::optional<Value>> Macro::attribute(Runtime& rt, std::string_view name) {
  if (name == "name") {
    return std::optional(body_.name.empty() ? Value() : Value::text(body_.name));
  }
  if (name == "arguments") {
    std::vector<Value> names;
    for (const auto& parameter : body_.parameters) names.push_back(Value::text(parameter.name));
    BUNDLE_TRY(Value tuple, rt.tuple(std::move(names)));
    return std::optional(std::move(tuple));
  }
  if (name == "catch_kwargs") return std::optional(Value(body_.kwargs_slot.has_value()));
  if (name == "catch_varargs") return std::optional(Value(body_.varargs_slot.has_value()));
  if (name == "caller") return std::optional(Value(body_.caller_slot.has_value()));
  return std::optional<Value>();
}

}  // namespace

Result<Value> Interpreter::make_macro(const MacroBody& macro, const Frame& frame) {
  BUNDLE_CHECK(rt_.spend(1));
  return Value::of(std::make_shared<Macro>(rt_, *this, macro, frame.locals));
}

Status Interpreter::bind(const MacroBody& macro, Arguments args, Activation& locals) {
  const std::size_t given = std::min(args.positional.size(), macro.parameters.size());
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    if (i < given) {
      locals.at({0, parameter.slot}) = args.positional[i];
    } else if (auto value = args.take(parameter.name)) {
      locals.at({0, parameter.slot}) = *std::move(value);
    }
  }
  args.positional.erase(args.positional.begin(),
                        args.positional.begin() + static_cast<std::ptrdiff_t>(given));
  if (macro.caller_slot) {
    auto caller = args.take("caller");
    if (!caller || caller->is(Kind::kNone)) caller = Value::undefined("No caller defined");
    locals.at({0, *macro.caller_slot}) = *std::move(caller);
  }
  return bind_rest(macro, std::move(args), locals);
}

Status Interpreter::bind_rest(const MacroBody& macro, Arguments args, Activation& locals) {
  if (macro.kwargs_slot) {
    DictBuilder rest;
    for (auto& [name, value] : args.named) rest.set(Value::text(name), std::move(value));
    BUNDLE_TRY(locals.at({0, *macro.kwargs_slot}), rt_.dict(std::move(rest)));
  } else if (!args.named.empty()) {
    return render_error("macro '" + macro.name + "' takes no keyword argument '" +
                        args.named.front().first + "'");
  }
  if (macro.varargs_slot) {
    BUNDLE_TRY(locals.at({0, *macro.varargs_slot}), rt_.tuple(std::move(args.positional)));
  } else if (!args.positional.empty()) {
    return render_error("macro '" + macro.name + "' takes not more than " +
                        std::to_string(macro.parameters.size()) + " argument(s)");
  }
  return {};
}

Result<Value> Interpreter::invoke(const MacroBody& macro, const ActivationPtr& closure,
                                  Arguments args) {
  const Runtime::Level call(rt_.calls);
  const Runtime::Level level(rt_.levels);
  if (rt_.too_deep()) return render_error("macros are nested too deep");
  BUNDLE_CHECK(rt_.spend(1 + macro.function.slots / 16));
  Output out(rt_);
  Frame frame{std::make_shared<Activation>(rt_.heap(), macro.function.slots, closure), &out};
  BUNDLE_CHECK(bind(macro, std::move(args), *frame.locals));
  enter(macro.scope, frame);
  for (const Parameter& parameter : macro.parameters) {
    Value& slot = frame.locals->at({0, parameter.slot});
    if (!slot.is(Kind::kMissing)) continue;
    if (parameter.default_value == nullptr) {
      slot = Value::undefined("parameter '" + parameter.name + "' was not provided");
      continue;
    }
    BUNDLE_TRY(Value value, evaluate(*parameter.default_value, frame));
    frame.locals->at({0, parameter.slot}) = std::move(value);
  }
  BUNDLE_TRY(const Flow flow, execute(macro.body, frame));
  static_cast<void>(flow);  // a jump never leaves a macro: the resolver sees to it
  return rt_.text(out.take());
}

}  // namespace bundle::chat
