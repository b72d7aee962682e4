#include "runtime/chat/expression_parser.h"

#include <algorithm>
#include <array>

namespace bundle::chat {
namespace {

constexpr int kMaxNesting = 300;  // levels of the descent; a pair of brackets takes three

ExprPtr make(ExprKind kind, std::uint32_t at) {
  auto node = std::make_unique<Expr>(Expr{kind, at});
  return node;
}

ExprPtr make_const(std::uint32_t at, Value value) {
  auto node = make(ExprKind::kConst, at);
  node->value = std::move(value);
  return node;
}

ExprPtr make_pair(ExprKind kind, std::uint32_t at, ExprPtr a, ExprPtr b) {
  auto node = make(kind, at);
  node->children.push_back(std::move(a));
  node->children.push_back(std::move(b));
  return node;
}

ExprPtr make_one(ExprKind kind, std::uint32_t at, ExprPtr child) {
  auto node = make(kind, at);
  node->children.push_back(std::move(child));
  return node;
}

/// Marks a parsed target as stored to. False when it is no target.
bool make_target(Expr& node, bool with_namespace) {
  if (node.kind == ExprKind::kNamespaceRef) return with_namespace;
  if (node.kind == ExprKind::kName) {
    node.use = NameUse::kStore;
    return true;
  }
  if (node.kind != ExprKind::kTuple) return false;
  return std::all_of(node.children.begin(), node.children.end(),
                     [&](ExprPtr& child) { return make_target(*child, with_namespace); });
}

struct Nesting {
  explicit Nesting(int& depth) : depth_(depth) { ++depth_; }
  ~Nesting() { --depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  int& depth_;
};

}  // namespace

Result<ExprPtr> ExpressionParser::finish(ExprPtr node) {
  int highest = 0;
  const auto see = [&](const ExprPtr& child) {
    if (child != nullptr) highest = std::max(highest, child->height);
  };
  for (const auto& child : node->children) see(child);
  if (node->args != nullptr) {
    for (const auto& arg : node->args->positional) see(arg);
    for (const auto& arg : node->args->named) see(arg.second);
    see(node->args->star);
    see(node->args->star_star);
  }
  node->height = highest + 1;
  if (node->height > kMaxTreeHeight) return tokens_.error("the expression is nested too deep");
  return node;
}

Result<ExprPtr> ExpressionParser::expression(bool with_conditional) {
  const Nesting nesting(depth_);
  if (depth_ > kMaxNesting) return tokens_.error("expressions are nested too deep");
  return with_conditional ? conditional() : disjunction();
}

Result<ExprPtr> ExpressionParser::tuple(bool with_conditional, std::string_view end) {
  return tuple_of(false, with_conditional, false, end, false);
}

Result<ExprPtr> ExpressionParser::target(bool with_namespace, std::string_view end) {
  const std::uint32_t at = tokens_.current().at;
  BUNDLE_TRY(ExprPtr node, tuple_of(true, true, with_namespace, end, false));
  if (!make_target(*node, with_namespace)) return tokens_.error_at(at, "can't assign to this");
  return node;
}

Result<ExprPtr> ExpressionParser::name_target(NameUse use) {
  auto node = make(ExprKind::kName, tokens_.current().at);
  BUNDLE_TRY(node->name, tokens_.take_name());
  constexpr std::array<std::string_view, 6> kReserved = {"true", "false", "none",
                                                         "True", "False", "None"};
  if (std::find(kReserved.begin(), kReserved.end(), node->name) != kReserved.end()) {
    return tokens_.error_at(node->at, "can't assign to '" + node->name + "'");
  }
  node->use = use;
  return node;
}

bool ExpressionParser::at_tuple_end(std::string_view end) const {
  return tokens_.is(TokenType::kVariableEnd) || tokens_.is(TokenType::kBlockEnd) ||
         tokens_.is_operator(")") || (!end.empty() && tokens_.is_name(end));
}

Result<ExprPtr> ExpressionParser::tuple_of(bool simplified, bool with_conditional,
                                           bool with_namespace, std::string_view end,
                                           bool parenthesized) {
  auto node = make(ExprKind::kTuple, tokens_.current().at);
  bool is_tuple = false;
  while (true) {
    if (!node->children.empty()) BUNDLE_CHECK(tokens_.expect_operator(","));
    if (at_tuple_end(end)) break;
    BUNDLE_TRY(ExprPtr item, simplified ? primary(with_namespace) : expression(with_conditional));
    node->children.push_back(std::move(item));
    if (!tokens_.is_operator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return finish(std::move(node));
  if (!node->children.empty()) return std::move(node->children[0]);
  if (!parenthesized) {
    return tokens_.error("Expected an expression, got " + tokens_.describe());
  }
  return node;
}

Result<ExprPtr> ExpressionParser::conditional() {
  const std::uint32_t at = tokens_.current().at;
  BUNDLE_TRY(ExprPtr value, disjunction());
  while (tokens_.skip_name("if")) {
    auto node = make(ExprKind::kConditional, at);
    BUNDLE_TRY(ExprPtr condition, disjunction());
    ExprPtr otherwise;
    if (tokens_.skip_name("else")) {
      const Nesting nesting(depth_);
      if (depth_ > kMaxNesting) return tokens_.error("expressions are nested too deep");
      BUNDLE_TRY(otherwise, conditional());
    }
    node->children.push_back(std::move(condition));
    node->children.push_back(std::move(value));
    node->children.push_back(std::move(otherwise));
    BUNDLE_TRY(value, finish(std::move(node)));
  }
  return value;
}

Result<ExprPtr> ExpressionParser::disjunction() {
  BUNDLE_TRY(ExprPtr left, conjunction());
  while (tokens_.is_name("or")) {
    const std::uint32_t at = tokens_.next().at;
    BUNDLE_TRY(ExprPtr right, conjunction());
    BUNDLE_TRY(left, finish(make_pair(ExprKind::kOr, at, std::move(left), std::move(right))));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::conjunction() {
  BUNDLE_TRY(ExprPtr left, negation());
  while (tokens_.is_name("and")) {
    const std::uint32_t at = tokens_.next().at;
    BUNDLE_TRY(ExprPtr right, negation());
    BUNDLE_TRY(left, finish(make_pair(ExprKind::kAnd, at, std::move(left), std::move(right))));
  }
  return left;
}

Result<ExprPtr> ExpressionParser::negation() {
  if (!tokens_.is_name("not")) return comparison();
  const Nesting nesting(depth_);
  if (depth_ > kMaxNesting) return tokens_.error("expressions are nested too deep");
  const std::uint32_t at = tokens_.next().at;
  BUNDLE_TRY(ExprPtr operand, negation());
  return finish(make_one(ExprKind::kNot, at, std::move(operand)));
}

Result<ExprPtr> ExpressionParser::comparison() {
  constexpr std::array<std::pair<std::string_view, CompareOp>, 6> kOperators = {
      {{"==", CompareOp::kEqual},
       {"!=", CompareOp::kNotEqual},
       {"<", CompareOp::kLess},
       {"<=", CompareOp::kLessEqual},
       {">", CompareOp::kGreater},
       {">=", CompareOp::kGreaterEqual}}};
  auto node = make(ExprKind::kCompare, tokens_.current().at);
  BUNDLE_TRY(ExprPtr first, sum());
  node->children.push_back(std::move(first));
  while (true) {
    const auto* op = std::find_if(kOperators.begin(), kOperators.end(), [&](const auto& candidate) {
      return tokens_.is_operator(candidate.first);
    });
    if (op != kOperators.end()) {
      tokens_.next();
      node->compare_ops.push_back(op->second);
    } else if (tokens_.skip_name("in")) {
      node->compare_ops.push_back(CompareOp::kIn);
    } else if (tokens_.is_name("not") && tokens_.look().is_name("in")) {
      tokens_.next();
      tokens_.next();
      node->compare_ops.push_back(CompareOp::kNotIn);
    } else {
      break;
    }
    BUNDLE_TRY(ExprPtr operand, sum());
    node->children.push_back(std::move(operand));
  }
  if (node->compare_ops.empty()) return std::move(node->children[0]);
  return finish(std::move(node));
}

Result<ExprPtr> ExpressionParser::left_associative(Rule operand,
                                                   const std::pair<std::string_view, BinaryOp>* ops,
                                                   std::size_t count) {
  BUNDLE_TRY(ExprPtr left, (this->*operand)());
  while (true) {
    const auto* op = std::find_if(ops, ops + count, [&](const auto& candidate) {
      return tokens_.is_operator(candidate.first);
    });
    if (op == ops + count) return left;
    const std::uint32_t at = tokens_.next().at;
    BUNDLE_TRY(ExprPtr right, (this->*operand)());
    auto node = make_pair(ExprKind::kBinary, at, std::move(left), std::move(right));
    node->binary_op = op->second;
    BUNDLE_TRY(left, finish(std::move(node)));
  }
}

Result<ExprPtr> ExpressionParser::sum() {
  constexpr std::pair<std::string_view, BinaryOp> kOps[] = {{"+", BinaryOp::kAdd},
                                                            {"-", BinaryOp::kSubtract}};
  return left_associative(&ExpressionParser::concatenation, kOps, std::size(kOps));
}

Result<ExprPtr> ExpressionParser::concatenation() {
  auto node = make(ExprKind::kConcat, tokens_.current().at);
  do {
    BUNDLE_TRY(ExprPtr part, product());
    node->children.push_back(std::move(part));
  } while (tokens_.skip_operator("~"));
  if (node->children.size() == 1) return std::move(node->children[0]);
  return finish(std::move(node));
}

Result<ExprPtr> ExpressionParser::product() {
  constexpr std::pair<std::string_view, BinaryOp> kOps[] = {{"*", BinaryOp::kMultiply},
                                                            {"/", BinaryOp::kDivide},
                                                            {"//", BinaryOp::kFloorDivide},
                                                            {"%", BinaryOp::kModulo}};
  return left_associative(&ExpressionParser::power, kOps, std::size(kOps));
}

Result<ExprPtr> ExpressionParser::power() {
  constexpr std::pair<std::string_view, BinaryOp> kOps[] = {{"**", BinaryOp::kPower}};
  return left_associative(&ExpressionParser::unary, kOps, std::size(kOps));
}

Result<ExprPtr> ExpressionParser::signed_operand(bool with_filter) {
  const Nesting nesting(depth_);
  if (depth_ > kMaxNesting) return tokens_.error("expressions are nested too deep");
  ExprPtr node;
  if (tokens_.is_operator("-") || tokens_.is_operator("+")) {
    const ExprKind kind = tokens_.is_operator("-") ? ExprKind::kNegate : ExprKind::kPlus;
    const std::uint32_t at = tokens_.next().at;
    BUNDLE_TRY(ExprPtr operand, signed_operand(false));
    BUNDLE_TRY(node, finish(make_one(kind, at, std::move(operand))));
  } else {
    BUNDLE_TRY(node, primary());
  }
  BUNDLE_TRY(node, postfix(std::move(node)));
  if (!with_filter) return node;
  return filter_suffix(std::move(node));
}

Result<ExprPtr> ExpressionParser::primary(bool with_namespace) {
  const Token& token = tokens_.current();
  switch (token.type) {
    case TokenType::kName:
      return name_or_constant(with_namespace);
    case TokenType::kString:
      return string_constant();
    case TokenType::kInteger:
    case TokenType::kFloat:
      tokens_.next();
      return make_const(token.at, token.value);
    default:
      break;
  }
  if (token.is_operator("(")) return parenthesized();
  if (token.is_operator("[")) return list();
  if (token.is_operator("{")) return dict();
  return tokens_.error("unexpected " + tokens_.describe());
}

Result<ExprPtr> ExpressionParser::name_or_constant(bool with_namespace) {
  const Token& token = tokens_.next();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return make_const(token.at, Value(true));
  if (name == "false" || name == "False") return make_const(token.at, Value(false));
  if (name == "none" || name == "None") return make_const(token.at, Value());
  const bool is_reference = with_namespace && tokens_.is_operator(".");
  auto node = make(is_reference ? ExprKind::kNamespaceRef : ExprKind::kName, token.at);
  node->name = name;
  if (is_reference) {
    tokens_.next();
    BUNDLE_TRY(node->attribute, tokens_.take_name());
  }
  return node;
}

Result<ExprPtr> ExpressionParser::string_constant() {
  const std::uint32_t at = tokens_.current().at;
  std::string text;
  while (tokens_.is(TokenType::kString)) text += tokens_.next().text;
  return make_const(at, Value::text(std::move(text)));
}

Result<ExprPtr> ExpressionParser::parenthesized() {
  const Nesting nesting(depth_);
  if (depth_ > kMaxNesting) return tokens_.error("expressions are nested too deep");
  tokens_.next();
  BUNDLE_TRY(ExprPtr node, tuple_of(false, true, false, "", true));
  BUNDLE_CHECK(tokens_.expect_operator(")"));
  return node;
}

Result<ExprPtr> ExpressionParser::list() {
  auto node = make(ExprKind::kList, tokens_.next().at);
  while (!tokens_.is_operator("]")) {
    if (!node->children.empty()) BUNDLE_CHECK(tokens_.expect_operator(","));
    if (tokens_.is_operator("]")) break;
    BUNDLE_TRY(ExprPtr item, expression());
    node->children.push_back(std::move(item));
  }
  tokens_.next();
  return finish(std::move(node));
}

Result<ExprPtr> ExpressionParser::dict() {
  auto node = make(ExprKind::kDict, tokens_.next().at);
  while (!tokens_.is_operator("}")) {
    if (!node->children.empty()) BUNDLE_CHECK(tokens_.expect_operator(","));
    if (tokens_.is_operator("}")) break;
    BUNDLE_TRY(ExprPtr key, expression());
    BUNDLE_CHECK(tokens_.expect_operator(":"));
    BUNDLE_TRY(ExprPtr value, expression());
    node->children.push_back(std::move(key));
    node->children.push_back(std::move(value));
  }
  tokens_.next();
  return finish(std::move(node));
}

Result<ExprPtr> ExpressionParser::postfix(ExprPtr node) {
  while (true) {
    if (tokens_.is_operator(".")) {
      BUNDLE_TRY(node, attribute(std::move(node)));
    } else if (tokens_.is_operator("[")) {
      BUNDLE_TRY(node, subscript(std::move(node)));
    } else if (tokens_.is_operator("(")) {
      BUNDLE_TRY(node, call(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExprPtr> ExpressionParser::filter_suffix(ExprPtr node) {
  while (true) {
    if (tokens_.is_operator("|")) {
      BUNDLE_TRY(node, filters(std::move(node)));
    } else if (tokens_.is_name("is")) {
      BUNDLE_TRY(node, test(std::move(node)));
    } else if (tokens_.is_operator("(")) {
      BUNDLE_TRY(node, call(std::move(node)));
    } else {
      return node;
    }
  }
}

Result<ExprPtr> ExpressionParser::attribute(ExprPtr object) {
  const std::uint32_t at = tokens_.next().at;
  const Token& token = tokens_.current();
  if (token.type == TokenType::kName) {
    auto node = make_one(ExprKind::kAttribute, at, std::move(object));
    node->name = tokens_.next().text;
    return finish(std::move(node));
  }
  if (token.type != TokenType::kInteger) return tokens_.error("expected name or number");
  tokens_.next();
  return finish(
      make_pair(ExprKind::kItem, at, std::move(object), make_const(token.at, token.value)));
}

Result<ExprPtr> ExpressionParser::slice_bound() {
  if (tokens_.is_operator(":") || tokens_.is_operator("]") || tokens_.is_operator(",")) {
    return ExprPtr();
  }
  return expression();
}

Result<ExprPtr> ExpressionParser::slice(ExprPtr object, ExprPtr start, std::uint32_t at) {
  auto node = make_pair(ExprKind::kSlice, at, std::move(object), std::move(start));
  BUNDLE_CHECK(tokens_.expect_operator(":"));
  BUNDLE_TRY(ExprPtr stop, slice_bound());
  ExprPtr step;
  if (tokens_.skip_operator(":")) {
    BUNDLE_TRY(step, slice_bound());
  }
  node->children.push_back(std::move(stop));
  node->children.push_back(std::move(step));
  BUNDLE_CHECK(tokens_.expect_operator("]"));
  return finish(std::move(node));
}

Result<ExprPtr> ExpressionParser::subscript(ExprPtr object) {
  const std::uint32_t at = tokens_.next().at;
  auto key = make(ExprKind::kTuple, at);
  while (!tokens_.is_operator("]")) {
    if (!key->children.empty()) BUNDLE_CHECK(tokens_.expect_operator(","));
    if (tokens_.is_operator(":") && key->children.empty()) return slice(std::move(object), {}, at);
    BUNDLE_TRY(ExprPtr item, expression());
    if (tokens_.is_operator(":") && key->children.empty()) {
      return slice(std::move(object), std::move(item), at);
    }
    key->children.push_back(std::move(item));
  }
  tokens_.next();
  ExprPtr only = key->children.size() == 1 ? std::move(key->children[0]) : std::move(key);
  BUNDLE_TRY(only, finish(std::move(only)));
  return finish(make_pair(ExprKind::kItem, at, std::move(object), std::move(only)));
}

Result<ExprPtr> ExpressionParser::call(ExprPtr callee) {
  auto node = make_one(ExprKind::kCall, tokens_.current().at, std::move(callee));
  BUNDLE_TRY(node->args, call_arguments());
  return finish(std::move(node));
}

Status ExpressionParser::call_argument(CallArguments& args) {
  const Error invalid = tokens_.error("invalid syntax for function call expression");
  if (tokens_.skip_operator("*")) {
    if (args.star != nullptr || args.star_star != nullptr) return invalid;
    BUNDLE_TRY(args.star, expression());
    return {};
  }
  if (tokens_.skip_operator("**")) {
    if (args.star_star != nullptr) return invalid;
    BUNDLE_TRY(args.star_star, expression());
    return {};
  }
  if (tokens_.is(TokenType::kName) && tokens_.look().is_operator("=")) {
    if (args.star_star != nullptr) return invalid;
    const std::string key = tokens_.next().text;
    tokens_.next();
    for (const auto& [name, value] : args.named) {
      if (name == key) return tokens_.error("keyword argument repeated: " + key);
    }
    BUNDLE_TRY(ExprPtr value, expression());
    args.named.emplace_back(key, std::move(value));
    return {};
  }
  if (args.star != nullptr || args.star_star != nullptr || !args.named.empty()) return invalid;
  BUNDLE_TRY(ExprPtr value, expression());
  args.positional.push_back(std::move(value));
  return {};
}

Result<std::unique_ptr<CallArguments>> ExpressionParser::call_arguments() {
  BUNDLE_CHECK(tokens_.expect_operator("("));
  auto args = std::make_unique<CallArguments>();
  for (bool first = true; !tokens_.is_operator(")"); first = false) {
    if (!first) {
      BUNDLE_CHECK(tokens_.expect_operator(","));
      if (tokens_.is_operator(")")) break;
    }
    BUNDLE_CHECK(call_argument(*args));
  }
  tokens_.next();
  return args;
}

Result<std::string> ExpressionParser::dotted_name() {
  BUNDLE_TRY(std::string name, tokens_.take_name());
  while (tokens_.skip_operator(".")) {
    BUNDLE_TRY(const std::string part, tokens_.take_name());
    name += "." + part;
  }
  return name;
}

Result<ExprPtr> ExpressionParser::filters(ExprPtr input, bool start_inline) {
  while (tokens_.is_operator("|") || start_inline) {
    if (!start_inline) tokens_.next();
    start_inline = false;
    auto node = make_one(ExprKind::kFilter, tokens_.current().at, std::move(input));
    BUNDLE_TRY(node->name, dotted_name());
    if (tokens_.is_operator("(")) {
      BUNDLE_TRY(node->args, call_arguments());
    }
    BUNDLE_TRY(input, finish(std::move(node)));
  }
  return input;
}

bool ExpressionParser::at_test_argument() const {
  switch (tokens_.current().type) {
    case TokenType::kString:
    case TokenType::kInteger:
    case TokenType::kFloat:
      return true;
    case TokenType::kName:
      return !tokens_.is_name("else") && !tokens_.is_name("or") && !tokens_.is_name("and");
    default:
      return tokens_.is_operator("[") || tokens_.is_operator("{");
  }
}

Result<ExprPtr> ExpressionParser::test(ExprPtr input) {
  const std::uint32_t at = tokens_.next().at;
  const bool negated = tokens_.skip_name("not");
  auto node = make_one(ExprKind::kTest, at, std::move(input));
  BUNDLE_TRY(node->name, dotted_name());
  if (tokens_.is_operator("(")) {
    BUNDLE_TRY(node->args, call_arguments());
  } else if (at_test_argument()) {
    if (tokens_.is_name("is")) return tokens_.error("You cannot chain multiple tests with is");
    BUNDLE_TRY(ExprPtr argument, primary());
    BUNDLE_TRY(argument, postfix(std::move(argument)));
    node->args = std::make_unique<CallArguments>();
    node->args->positional.push_back(std::move(argument));
  }
  BUNDLE_TRY(ExprPtr done, finish(std::move(node)));
  if (!negated) return done;
  return finish(make_one(ExprKind::kNot, at, std::move(done)));
}

}  // namespace bundle::chat
