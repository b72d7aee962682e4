#include "runtime/chat/resolver.h"

#include <algorithm>

#include "runtime/chat/builtins.h"
#include "runtime/chat/symbols.h"
#include "runtime/chat/walk.h"

namespace bundle::chat {
namespace {

// Names copied at branches; published templates take some ten thousand.
constexpr std::uint64_t kMaxWork = 1'000'000;

/// Collects what statements do to the names of one scope. Inner scopes are not entered: only what
/// they evaluate outside of themselves counts.
class NameCollector {
 public:
  /// `work` counts what is spent; over kMaxWork the collector stops, and the template is refused.
  NameCollector(Symbols& symbols, std::uint64_t& work) : symbols_(&symbols), work_(work) {}

  void expression(const Expr* node, bool as_parameter = false) {
    walk_names(node, [&](const std::string& name, NameUse use, std::uint32_t) {
      if (as_parameter || use == NameUse::kParameter) {
        symbols_->declare_parameter(name);
      } else if (use == NameUse::kStore) {
        symbols_->store(name);
      } else {
        symbols_->load(name);
      }
    });
  }

  void body(const Body& statements) {
    for (const auto& statement : statements) visit(*statement);
  }

 private:
  void visit(const Stmt& node) {
    switch (node.kind) {
      case StmtKind::kOutput:
        for (const auto& part : static_cast<const OutputStmt&>(node).parts) expression(part.get());
        break;
      case StmtKind::kFor:
        expression(static_cast<const ForStmt&>(node).iterable.get());
        break;
      case StmtKind::kIf:
        branch(static_cast<const IfStmt&>(node), 0);
        break;
      case StmtKind::kMacro:
        symbols_->store(static_cast<const MacroStmt&>(node).macro.name);
        break;
      case StmtKind::kCallBlock:
        expression(static_cast<const CallBlockStmt&>(node).call.get());
        break;
      case StmtKind::kFilterBlock:
        expression(static_cast<const FilterBlockStmt&>(node).filter.get());
        break;
      case StmtKind::kWith:
        for (const auto& value : static_cast<const WithStmt&>(node).values) expression(value.get());
        break;
      case StmtKind::kSet: {
        const auto& set = static_cast<const SetStmt&>(node);
        expression(set.value.get());
        expression(set.target.get());
        break;
      }
      case StmtKind::kSetBlock:
        expression(static_cast<const SetBlockStmt&>(node).target.get());
        break;
      case StmtKind::kUnavailable: {
        const auto& import = static_cast<const UnavailableStmt&>(node);
        expression(import.source.get());
        for (const auto& target : import.targets) expression(target.get());
        break;
      }
      default:
        break;
    }
  }

  /// Branch `i` of an if. Each elif is an `if` of its own inside the second of three parts.
  void branch(const IfStmt& node, std::size_t i) {
    expression(node.branches[i].test.get());
    work_ += 3 * (symbols_->size() + 1);
    if (work_ > kMaxWork) return;
    Symbols* outer = symbols_;
    std::vector<Symbols> parts(3, *outer);
    symbols_ = &parts[0];
    body(node.branches[i].body);
    if (i == 0) {
      symbols_ = &parts[1];
      for (std::size_t k = 1; k < node.branches.size(); ++k) branch(node, k);
      symbols_ = &parts[2];
      body(node.otherwise);
    }
    symbols_ = outer;
    outer->merge_branches(parts);
  }

  Symbols* symbols_;
  std::uint64_t& work_;
};

/// Where the resolver is: the names in reach, and what surrounds it.
struct Frame {
  Symbols* symbols;
  bool toplevel = false;  // what is set here is set for the whole template
  bool soft = false;      // directly inside an if: an unknown filter is an error only when it runs
  bool in_loop = false;   // in a loop of the same function
};

class Resolver {
 public:
  explicit Resolver(const SourceText& source) : source_(source) {}

  Status resolve(Template& tree) {
    FunctionScope function(nullptr);
    Symbols symbols(nullptr, &function);
    NameCollector(symbols, work_).body(tree.body);
    Frame frame{&symbols, true};
    BUNDLE_CHECK(body(tree.body, frame));
    fill(tree.scope, symbols);
    tree.function.slots = function.slots();
    return {};
  }

 private:
  static Slot slot_for(const Symbols& from, const std::string& ident, const Symbols* owner) {
    Slot slot;
    for (const FunctionScope* f = from.function(); f != owner->function(); f = f->outer()) {
      ++slot.hops;
    }
    slot.index = owner->function()->slot_of(ident);
    return slot;
  }

  static Slot slot_of(Symbols& symbols, const std::string& name) {
    symbols.load(name);  // does nothing when the name is known
    const auto found = symbols.find(name);
    return slot_for(symbols, found->first, found->second);
  }

  /// Turns what the scope knows into the loads that entering it performs. Last, since resolving
  /// its body may still add names.
  static void fill(Scope& scope, const Symbols& symbols) {
    for (const auto& [ident, entry] : symbols.entries()) {
      Load load{Load::From::kNothing, {0, symbols.function()->slot_of(ident)}};
      switch (entry.from) {
        case Symbols::Entry::From::kParameter:
          load.from = Load::From::kKept;
          break;
        case Symbols::Entry::From::kContext:
          load.from = Load::From::kContext;
          load.name = entry.source;
          break;
        case Symbols::Entry::From::kOuter: {
          const std::string name = entry.source.substr(entry.source.find('_') + 1);
          const auto outer = symbols.parent()->find(name);
          load.from = Load::From::kSlot;
          load.source = slot_for(symbols, outer->first, outer->second);
          break;
        }
        case Symbols::Entry::From::kNothing:
          break;
      }
      scope.loads.push_back(std::move(load));
    }
  }

  Error error(std::uint32_t at, std::string what) const {
    return source_.error_at(at, std::move(what));
  }

  Status expression(Expr* node, Frame& frame) {
    if (node == nullptr) return {};
    if (node->kind == ExprKind::kName || node->kind == ExprKind::kNamespaceRef) {
      node->slot = slot_of(*frame.symbols, node->name);
    }
    if (node->kind == ExprKind::kFilter || node->kind == ExprKind::kTest) {
      BUNDLE_CHECK(builtin(*node, frame));
    }
    Frame inner = frame;
    if (node->kind == ExprKind::kConditional) inner.soft = true;
    for (auto& child : node->children) BUNDLE_CHECK(expression(child.get(), inner));
    if (node->args == nullptr) return {};
    for (auto& arg : node->args->positional) BUNDLE_CHECK(expression(arg.get(), inner));
    for (auto& arg : node->args->named) BUNDLE_CHECK(expression(arg.second.get(), inner));
    BUNDLE_CHECK(expression(node->args->star.get(), inner));
    return expression(node->args->star_star.get(), inner);
  }

  Status builtin(Expr& node, const Frame& frame) const {
    const bool is_filter = node.kind == ExprKind::kFilter;
    node.function = is_filter ? find_filter(node.name) : find_test(node.name);
    if (node.function != nullptr || frame.soft) return {};
    return error(node.at, std::string("No ") + (is_filter ? "filter" : "test") + " named '" +
                              node.name + "'");
  }

  Status body(Body& statements, Frame& frame) {
    for (auto& node : statements) BUNDLE_CHECK(statement(*node, frame));
    return {};
  }

  Status statement(Stmt& node, Frame& frame) {
    if (work_ > kMaxWork) return error(node.at, "the template has too many names and branches");
    switch (node.kind) {
      case StmtKind::kOutput:
        for (auto& part : static_cast<OutputStmt&>(node).parts) {
          BUNDLE_CHECK(expression(part.get(), frame));
        }
        return {};
      case StmtKind::kFor:
        return loop(static_cast<ForStmt&>(node), frame);
      case StmtKind::kIf:
        return branches(static_cast<IfStmt&>(node), frame);
      case StmtKind::kMacro: {
        auto& macro = static_cast<MacroStmt&>(node);
        BUNDLE_CHECK(function(macro.macro, node.at, frame));
        macro.slot = slot_of(*frame.symbols, macro.macro.name);
        if (frame.toplevel) macro.exports.push_back({macro.macro.name, macro.slot});
        return {};
      }
      case StmtKind::kCallBlock: {
        auto& block = static_cast<CallBlockStmt&>(node);
        BUNDLE_CHECK(function(block.caller, node.at, frame));
        return expression(block.call.get(), frame);
      }
      case StmtKind::kFilterBlock:
        return filter_block(static_cast<FilterBlockStmt&>(node), frame);
      case StmtKind::kWith:
        return with(static_cast<WithStmt&>(node), frame);
      case StmtKind::kSet: {
        auto& set = static_cast<SetStmt&>(node);
        BUNDLE_CHECK(expression(set.value.get(), frame));
        return target(*set.target, set.exports, frame);
      }
      case StmtKind::kSetBlock:
        return set_block(static_cast<SetBlockStmt&>(node), frame);
      case StmtKind::kBreak:
      case StmtKind::kContinue:
        if (frame.in_loop) return {};
        return error(node.at, "break and continue stand only in a loop");
      case StmtKind::kScope:
        return scope(static_cast<ScopeStmt&>(node), frame);
      case StmtKind::kBlock:
        return block(static_cast<BlockStmt&>(node));
      case StmtKind::kUnavailable:
        return unavailable(static_cast<UnavailableStmt&>(node), frame);
    }
    return {};
  }

  Status target(Expr& node, std::vector<Export>& exports, Frame& frame) {
    BUNDLE_CHECK(expression(&node, frame));
    if (!frame.toplevel) return {};
    walk_names(&node, [&](const std::string& name, NameUse use, std::uint32_t) {
      if (use == NameUse::kStore) exports.push_back({name, slot_of(*frame.symbols, name)});
    });
    return {};
  }

  Status unavailable(UnavailableStmt& node, Frame& frame) {
    BUNDLE_CHECK(expression(node.source.get(), frame));
    for (auto& name : node.targets) BUNDLE_CHECK(expression(name.get(), frame));
    return {};
  }

  Status branches(IfStmt& node, Frame& frame) {
    Frame soft = frame;
    soft.soft = true;
    for (auto& branch : node.branches) {
      BUNDLE_CHECK(expression(branch.test.get(), soft));
      BUNDLE_CHECK(body(branch.body, soft));
    }
    return body(node.otherwise, soft);
  }

  Status check_no_store_to_loop(const ForStmt& node) const {
    std::uint32_t at = 0;
    bool stored = false;
    const VisitName visit = [&](const std::string& name, NameUse use, std::uint32_t where) {
      if (name != "loop" || use != NameUse::kStore || stored) return;
      stored = true;
      at = where;
    };
    walk_names(node.target.get(), visit);
    walk_names(node.body, visit);
    walk_names(node.otherwise, visit);
    if (!stored) return {};
    return error(at, "Can't assign to special loop variable");
  }

  Status loop(ForStmt& node, Frame& frame) {
    BUNDLE_CHECK(check_no_store_to_loop(node));
    BUNDLE_CHECK(expression(node.iterable.get(), frame));
    if (node.test != nullptr) BUNDLE_CHECK(loop_test(node, frame));
    FunctionScope own(frame.symbols->function());
    FunctionScope* function = node.recursive ? &own : frame.symbols->function();
    Symbols symbols(frame.symbols, function);
    node.has_loop_variable = node.recursive || !find_undeclared(node.body, {"loop"}).empty();
    if (node.has_loop_variable) symbols.declare_parameter("loop");
    NameCollector names(symbols, work_);
    names.expression(node.target.get(), true);
    names.body(node.body);
    Frame inside{&symbols, false, false, true};
    BUNDLE_CHECK(expression(node.target.get(), inside));
    BUNDLE_CHECK(body(node.body, inside));
    if (node.has_loop_variable) node.loop_slot = slot_of(symbols, "loop");
    Symbols otherwise(frame.symbols, function);
    NameCollector(otherwise, work_).body(node.otherwise);
    Frame after{&otherwise, false, false, frame.in_loop && !node.recursive};
    BUNDLE_CHECK(body(node.otherwise, after));
    fill(node.scope, symbols);
    fill(node.otherwise_scope, otherwise);
    node.function.slots = own.slots();
    return {};
  }

  Status loop_test(ForStmt& node, const Frame& frame) {
    FunctionScope function(frame.symbols->function());
    Symbols symbols(frame.symbols, &function);
    NameCollector names(symbols, work_);
    names.expression(node.target.get(), true);
    names.expression(node.test.get());
    node.test_target = clone_target(*node.target);
    Frame inside{&symbols};
    BUNDLE_CHECK(expression(node.test_target.get(), inside));
    BUNDLE_CHECK(expression(node.test.get(), inside));
    fill(node.test_scope, symbols);
    node.test_function.slots = function.slots();
    return {};
  }

  static ExprPtr clone_target(const Expr& node) {
    auto copy = std::make_unique<Expr>(Expr{node.kind, node.at});
    copy->use = node.use;
    copy->name = node.name;
    for (const auto& child : node.children) copy->children.push_back(clone_target(*child));
    return copy;
  }

  /// The body of a macro or of a call block.
  Status function(MacroBody& macro, std::uint32_t at, Frame& frame) {
    FunctionScope own(frame.symbols->function());
    Symbols symbols(frame.symbols, &own);
    NameCollector names(symbols, work_);
    for (const auto& parameter : macro.parameters) symbols.declare_parameter(parameter.name);
    for (const auto& parameter : macro.parameters) names.expression(parameter.default_value.get());
    names.body(macro.body);
    BUNDLE_CHECK(special_names(macro, at, symbols));
    Frame inside{&symbols};
    for (auto& parameter : macro.parameters) {
      parameter.slot = slot_of(symbols, parameter.name).index;
      BUNDLE_CHECK(expression(parameter.default_value.get(), inside));
    }
    BUNDLE_CHECK(body(macro.body, inside));
    fill(macro.scope, symbols);
    macro.function.slots = own.slots();
    return {};
  }

  /// caller, kwargs and varargs are parameters where the body uses them.
  Status special_names(MacroBody& macro, std::uint32_t at, Symbols& symbols) const {
    const auto used = find_undeclared(macro.body, {"caller", "kwargs", "varargs"});
    const auto uses = [&](const char* name) {
      return std::find(used.begin(), used.end(), name) != used.end();
    };
    const auto parameter = [&](const char* name) {
      return std::find_if(macro.parameters.begin(), macro.parameters.end(),
                          [&](const Parameter& p) { return p.name == name; });
    };
    const auto declare = [&](const char* name) {
      symbols.declare_parameter(name);
      return symbols.function()->slot_of(symbols.find(name)->first);
    };
    const auto caller = parameter("caller");
    macro.has_caller_parameter = caller != macro.parameters.end();
    if (uses("caller")) {
      if (!macro.has_caller_parameter) {
        macro.caller_slot = declare("caller");
      } else if (caller->default_value == nullptr) {
        return error(at, "the special parameter 'caller' must have a default or be left out");
      }
    }
    const bool named = parameter("kwargs") != macro.parameters.end();
    if (uses("kwargs") && !named) macro.kwargs_slot = declare("kwargs");
    const bool listed = parameter("varargs") != macro.parameters.end();
    if (uses("varargs") && !listed) macro.varargs_slot = declare("varargs");
    return {};
  }

  static Frame inner(const Frame& frame, Symbols& symbols) {
    return Frame{&symbols, false, false, frame.in_loop};
  }

  Status filter_block(FilterBlockStmt& node, Frame& frame) {
    Symbols symbols(frame.symbols, frame.symbols->function());
    NameCollector names(symbols, work_);
    names.body(node.body);
    names.expression(node.filter.get());
    Frame inside = inner(frame, symbols);
    BUNDLE_CHECK(body(node.body, inside));
    BUNDLE_CHECK(expression(node.filter.get(), inside));
    fill(node.scope, symbols);
    return {};
  }

  Status with(WithStmt& node, Frame& frame) {
    for (auto& value : node.values) BUNDLE_CHECK(expression(value.get(), frame));
    Symbols symbols(frame.symbols, frame.symbols->function());
    NameCollector names(symbols, work_);
    for (const auto& name : node.targets) names.expression(name.get(), true);
    names.body(node.body);
    Frame inside = inner(frame, symbols);
    for (auto& name : node.targets) BUNDLE_CHECK(expression(name.get(), inside));
    BUNDLE_CHECK(body(node.body, inside));
    fill(node.scope, symbols);
    return {};
  }

  Status set_block(SetBlockStmt& node, Frame& frame) {
    Symbols symbols(frame.symbols, frame.symbols->function());
    NameCollector(symbols, work_).body(node.body);
    Frame inside = inner(frame, symbols);
    BUNDLE_CHECK(body(node.body, inside));
    BUNDLE_CHECK(expression(node.filter.get(), inside));
    fill(node.scope, symbols);
    return target(*node.target, node.exports, frame);
  }

  Status scope(ScopeStmt& node, Frame& frame) {
    Symbols symbols(frame.symbols, frame.symbols->function());
    NameCollector(symbols, work_).body(node.body);
    Frame inside = inner(frame, symbols);
    BUNDLE_CHECK(body(node.body, inside));
    fill(node.scope, symbols);
    return {};
  }

  /// A block sees the context only, with what the top level has set by then.
  Status block(BlockStmt& node) {
    if (std::find(blocks_.begin(), blocks_.end(), node.name) != blocks_.end()) {
      return error(node.at, "block '" + node.name + "' defined twice");
    }
    blocks_.push_back(node.name);
    FunctionScope function(nullptr);
    Symbols symbols(nullptr, &function);
    NameCollector(symbols, work_).body(node.body);
    Frame inside{&symbols};
    BUNDLE_CHECK(body(node.body, inside));
    fill(node.scope, symbols);
    node.function.slots = function.slots();
    return {};
  }

  const SourceText& source_;
  std::vector<std::string> blocks_;
  std::uint64_t work_ = 0;
};

}  // namespace

Status resolve_names(const SourceText& source, Template& tree) {
  return Resolver(source).resolve(tree);
}

}  // namespace bundle::chat
