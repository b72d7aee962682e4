// A parsed template: expressions and statements. The parser builds it, the resolver (resolver.h)
// fills in where names live; after that it does not change and renderings share it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/chat/operators.h"
#include "runtime/chat/value.h"

namespace bundle::chat {

/// Expressions and statements may not be higher trees: walking them recurses.
inline constexpr int kMaxTreeHeight = 400;

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

/// Where a variable lives: in the scope of the running function, or `hops` functions further out.
struct Slot {
  std::uint32_t hops = 0;
  std::uint32_t index = 0;
};

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;       // *star
  ExprPtr star_star;  // **star_star
};

enum class ExprKind : std::uint8_t {
  kConst,         // value
  kName,          // name, slot
  kNamespaceRef,  // name.attribute as a target: children none, name, attribute, slot
  kTuple,         // children
  kList,          // children
  kDict,          // children: key, value, key, value, …
  kNegate,        // child
  kPlus,          // child
  kNot,           // child
  kBinary,        // binary_op; left, right
  kAnd,           // left, right
  kOr,            // left, right
  kCompare,       // compare_ops; first, and one child for each operator
  kConcat,        // children
  kConditional,   // test, then, else (null: undefined)
  kAttribute,     // child.name
  kItem,          // child[child]
  kSlice,         // object, start, stop, step (null: None)
  kCall,          // callee; args
  kFilter,        // input (null: the enclosing block's text); name, args, function
  kTest,          // input; name, args, function
};

enum class NameUse : std::uint8_t { kLoad, kStore, kParameter };

/// What a filter or test is called with: its input is the first positional argument.
using BuiltinFunction = Result<Value> (*)(Runtime& rt, Arguments args);

struct Expr {
  ExprKind kind;
  std::uint32_t at;  // byte offset in the source
  int height = 1;
  NameUse use = NameUse::kLoad;
  BinaryOp binary_op = BinaryOp::kAdd;
  std::vector<CompareOp> compare_ops = {};
  std::string name = {};
  std::string attribute = {};
  Slot slot = {};
  Value value = {};
  std::vector<ExprPtr> children = {};
  std::unique_ptr<CallArguments> args = {};
  BuiltinFunction function = nullptr;  // null: unknown, an error when it runs
};

/// What entering a scope does to one of its slots. A parameter's is kept; leaving unsets it too.
struct Load {
  enum class From : std::uint8_t { kNothing, kContext, kSlot, kKept };
  From from;
  Slot target;
  Slot source = {};
  std::string name = {};
};

/// Variables of a loop, a block, …; set up on entry and unset on leaving.
struct Scope {
  std::vector<Load> loads;
};

/// A body that runs in a frame of slots of its own: a macro, a caller, a recursive loop, …
struct FunctionBody {
  std::uint32_t slots = 0;
};

enum class StmtKind : std::uint8_t {
  kOutput,
  kFor,
  kIf,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kSet,
  kSetBlock,
  kBreak,
  kContinue,
  kScope,
  kBlock,
  kUnavailable,
};

struct Stmt {
  Stmt(StmtKind k, std::uint32_t where) : kind(k), at(where) {}
  Stmt(const Stmt&) = delete;
  Stmt& operator=(const Stmt&) = delete;
  virtual ~Stmt() = default;

  StmtKind kind;
  std::uint32_t at;
};

/// Text (a kConst) and printed expressions.
struct OutputStmt : Stmt {
  using Stmt::Stmt;
  std::vector<ExprPtr> parts;
};

struct ForStmt : Stmt {
  using Stmt::Stmt;
  ExprPtr target;
  ExprPtr iterable;
  ExprPtr test;  // may be null
  bool recursive = false;
  Body body;
  Body otherwise;

  bool has_loop_variable = false;
  Slot loop_slot;
  Scope scope;
  Scope otherwise_scope;
  FunctionBody function;  // when recursive
  // The test runs in a function of its own, which binds the target again.
  ExprPtr test_target;
  Scope test_scope;
  FunctionBody test_function;
};

struct IfStmt : Stmt {
  using Stmt::Stmt;
  struct Branch {
    ExprPtr test;
    Body body;
  };
  std::vector<Branch> branches;
  Body otherwise;
};

struct Parameter {
  std::string name;
  std::uint32_t at;
  std::uint32_t slot;     // in the macro's own frame
  ExprPtr default_value;  // may be null
};

/// A macro, or the body of a call block.
struct MacroBody {
  std::string name;  // empty for a caller
  std::vector<Parameter> parameters;
  Body body;
  Scope scope;
  FunctionBody function;
  std::optional<std::uint32_t> caller_slot;  // when the body uses the special names
  std::optional<std::uint32_t> kwargs_slot;
  std::optional<std::uint32_t> varargs_slot;
  bool has_caller_parameter = false;
};

/// A name that a template's top level sets, which blocks can see.
struct Export {
  std::string name;
  Slot slot;
};

struct MacroStmt : Stmt {
  using Stmt::Stmt;
  MacroBody macro;
  Slot slot;
  std::vector<Export> exports;
};

struct CallBlockStmt : Stmt {
  using Stmt::Stmt;
  ExprPtr call;  // null for {% generation %}, which just renders its body
  MacroBody caller;
};

struct FilterBlockStmt : Stmt {
  using Stmt::Stmt;
  ExprPtr filter;
  Body body;
  Scope scope;
};

struct WithStmt : Stmt {
  using Stmt::Stmt;
  std::vector<ExprPtr> targets;
  std::vector<ExprPtr> values;
  Body body;
  Scope scope;
};

struct SetStmt : Stmt {
  using Stmt::Stmt;
  ExprPtr target;
  ExprPtr value;
  std::vector<Export> exports;
};

struct SetBlockStmt : Stmt {
  using Stmt::Stmt;
  ExprPtr target;
  ExprPtr filter;  // may be null
  Body body;
  Scope scope;
  std::vector<Export> exports;
};

/// break and continue.
struct JumpStmt : Stmt {
  using Stmt::Stmt;
};

/// {% autoescape false %}: nothing but a scope here.
struct ScopeStmt : Stmt {
  using Stmt::Stmt;
  Body body;
  Scope scope;
};

struct BlockStmt : Stmt {
  using Stmt::Stmt;
  std::string name;
  Body body;
  Scope scope;
  FunctionBody function;
};

/// include, import, extends: there is no other template, so running one is an error.
struct UnavailableStmt : Stmt {
  using Stmt::Stmt;
  std::string what;
  ExprPtr source;
  std::vector<ExprPtr> targets;
};

struct Template {
  Body body;
  Scope scope;
  FunctionBody function;
};

}  // namespace bundle::chat
