#include "runtime/chat/parser.h"

#include <algorithm>
#include <initializer_list>

#include "runtime/chat/expression_parser.h"
#include "runtime/chat/resolver.h"
#include "runtime/chat/token_stream.h"

namespace bundle::chat {

std::string TokenStream::describe() const {
  switch (current().type) {
    case TokenType::kEnd:
      return "the end of the template";
    case TokenType::kBlockEnd:
    case TokenType::kVariableEnd:
      return "the end of the tag";
    case TokenType::kString:
      return "a string";
    default:
      return "'" + current().text + "'";
  }
}

namespace {

constexpr int kMaxBlocks = 100;  // nested statements

using Names = std::initializer_list<std::string_view>;

class Parser {
 public:
  Parser(const SourceText& source, std::vector<Token> tokens)
      : tokens_(source, std::move(tokens)), expressions_(tokens_) {}

  Result<Body> parse() { return statements_until({}); }

 private:
  bool at_any(Names names) const {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return tokens_.is_name(name); });
  }

  static std::string join(Names names) {
    std::string out;
    for (const auto name : names) out += (out.empty() ? "'" : " or '") + std::string(name) + "'";
    return out;
  }

  /// Statements up to a tag that starts with one of the names, or to the end when there are none.
  Result<Body> statements_until(Names ends) {
    Body body;
    std::unique_ptr<OutputStmt> output;
    const auto flush = [&] {
      if (output != nullptr) body.push_back(std::move(output));
    };
    const auto part = [&](ExprPtr node) {
      if (output == nullptr) {
        output = std::make_unique<OutputStmt>(StmtKind::kOutput, node->at);
      }
      output->parts.push_back(std::move(node));
    };
    while (!tokens_.is(TokenType::kEnd)) {
      const Token& token = tokens_.next();
      if (token.type == TokenType::kData) {
        auto node = std::make_unique<Expr>(Expr{ExprKind::kConst, token.at});
        node->value = Value::text(token.text);
        part(std::move(node));
      } else if (token.type == TokenType::kVariableBegin) {
        BUNDLE_TRY(ExprPtr node, expressions_.tuple());
        part(std::move(node));
        BUNDLE_CHECK(tokens_.expect(TokenType::kVariableEnd));
      } else {
        flush();
        if (at_any(ends)) return body;
        BUNDLE_TRY(StmtPtr statement, parse_statement(ends));
        body.push_back(std::move(statement));
        BUNDLE_CHECK(tokens_.expect(TokenType::kBlockEnd));
      }
    }
    flush();
    if (ends.size() == 0) return body;
    return tokens_.error("the template ends where " + join(ends) + " is due");
  }

  /// The rest of an opening tag, then statements up to one of the names, which stays.
  Result<Body> block(Names ends) {
    tokens_.skip_operator(":");
    BUNDLE_CHECK(tokens_.expect(TokenType::kBlockEnd));
    return statements_until(ends);
  }

  /// The same, and takes the name that ends it.
  Result<Body> whole_block(std::string_view end) {
    BUNDLE_TRY(Body body, block({end}));
    tokens_.next();
    return body;
  }

  Result<StmtPtr> parse_statement(Names ends) {
    if (depth_ >= kMaxBlocks) return tokens_.error("statements are nested too deep");
    ++depth_;
    auto statement = dispatch(ends);
    --depth_;
    return statement;
  }

  Result<StmtPtr> dispatch(Names ends) {
    using Rule = Result<StmtPtr> (Parser::*)(std::uint32_t);
    struct Entry {
      std::string_view name;
      Rule rule;
    };
    static constexpr Entry kRules[] = {
        {"for", &Parser::parse_for},          {"if", &Parser::parse_if},
        {"set", &Parser::parse_set},          {"macro", &Parser::parse_macro},
        {"call", &Parser::parse_call},        {"filter", &Parser::parse_filter},
        {"with", &Parser::parse_with},        {"print", &Parser::parse_print},
        {"break", &Parser::parse_break},      {"continue", &Parser::parse_continue},
        {"block", &Parser::parse_block},      {"generation", &Parser::parse_generation},
        {"include", &Parser::parse_include},  {"import", &Parser::parse_import},
        {"from", &Parser::parse_from},        {"extends", &Parser::parse_extends},
        {"autoescape", &Parser::parse_escape}};
    if (!tokens_.is(TokenType::kName)) return tokens_.error("tag name expected");
    for (const Entry& entry : kRules) {
      if (tokens_.is_name(entry.name)) return (this->*entry.rule)(tokens_.next().at);
    }
    std::string what = "Encountered unknown tag '" + tokens_.current().text + "'";
    if (ends.size() != 0) what += " where " + join(ends) + " is due";
    return tokens_.error(std::move(what));
  }

  Result<StmtPtr> parse_for(std::uint32_t at) {
    auto node = std::make_unique<ForStmt>(StmtKind::kFor, at);
    BUNDLE_TRY(node->target, expressions_.target(false, "in"));
    BUNDLE_CHECK(tokens_.expect_name("in"));
    BUNDLE_TRY(node->iterable, expressions_.tuple(false, "recursive"));
    if (tokens_.skip_name("if")) {
      BUNDLE_TRY(node->test, expressions_.expression());
    }
    node->recursive = tokens_.skip_name("recursive");
    BUNDLE_TRY(node->body, block({"endfor", "else"}));
    if (tokens_.next().text == "else") {
      BUNDLE_TRY(node->otherwise, whole_block("endfor"));
    }
    return node;
  }

  Result<StmtPtr> parse_if(std::uint32_t at) {
    auto node = std::make_unique<IfStmt>(StmtKind::kIf, at);
    while (true) {
      IfStmt::Branch branch;
      BUNDLE_TRY(branch.test, expressions_.tuple(false));
      BUNDLE_TRY(branch.body, block({"elif", "else", "endif"}));
      node->branches.push_back(std::move(branch));
      const std::string& end = tokens_.next().text;
      if (end == "elif") continue;
      if (end == "else") {
        BUNDLE_TRY(node->otherwise, whole_block("endif"));
      }
      return node;
    }
  }

  Result<StmtPtr> parse_set(std::uint32_t at) {
    BUNDLE_TRY(ExprPtr target, expressions_.target(true));
    if (tokens_.skip_operator("=")) {
      auto node = std::make_unique<SetStmt>(StmtKind::kSet, at);
      node->target = std::move(target);
      BUNDLE_TRY(node->value, expressions_.tuple());
      return node;
    }
    auto node = std::make_unique<SetBlockStmt>(StmtKind::kSetBlock, at);
    node->target = std::move(target);
    BUNDLE_TRY(node->filter, expressions_.filters(nullptr));
    BUNDLE_TRY(node->body, whole_block("endset"));
    return node;
  }

  Status parse_signature(MacroBody& macro) {
    BUNDLE_CHECK(tokens_.expect_operator("("));
    while (!tokens_.is_operator(")")) {
      if (!macro.parameters.empty()) BUNDLE_CHECK(tokens_.expect_operator(","));
      BUNDLE_TRY(const ExprPtr name, expressions_.name_target(NameUse::kParameter));
      Parameter parameter{name->name, name->at, 0, nullptr};
      if (tokens_.skip_operator("=")) {
        BUNDLE_TRY(parameter.default_value, expressions_.expression());
      } else if (!macro.parameters.empty() && macro.parameters.back().default_value != nullptr) {
        return tokens_.error("non-default argument follows default argument");
      }
      for (const Parameter& other : macro.parameters) {
        if (other.name == parameter.name) return tokens_.error("duplicate argument");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    tokens_.next();
    return {};
  }

  Result<StmtPtr> parse_macro(std::uint32_t at) {
    auto node = std::make_unique<MacroStmt>(StmtKind::kMacro, at);
    BUNDLE_TRY(const ExprPtr name, expressions_.name_target(NameUse::kStore));
    node->macro.name = name->name;
    BUNDLE_CHECK(parse_signature(node->macro));
    BUNDLE_TRY(node->macro.body, whole_block("endmacro"));
    return node;
  }

  Result<StmtPtr> parse_call(std::uint32_t at) {
    auto node = std::make_unique<CallBlockStmt>(StmtKind::kCallBlock, at);
    if (tokens_.is_operator("(")) BUNDLE_CHECK(parse_signature(node->caller));
    BUNDLE_TRY(node->call, expressions_.expression());
    if (node->call->kind != ExprKind::kCall) return tokens_.error_at(at, "expected call");
    BUNDLE_TRY(node->caller.body, whole_block("endcall"));
    return node;
  }

  Result<StmtPtr> parse_generation(std::uint32_t at) {
    auto node = std::make_unique<CallBlockStmt>(StmtKind::kCallBlock, at);
    BUNDLE_TRY(node->caller.body, whole_block("endgeneration"));
    return node;
  }

  Result<StmtPtr> parse_filter(std::uint32_t at) {
    auto node = std::make_unique<FilterBlockStmt>(StmtKind::kFilterBlock, at);
    BUNDLE_TRY(node->filter, expressions_.filters(nullptr, true));
    BUNDLE_TRY(node->body, whole_block("endfilter"));
    return node;
  }

  Result<StmtPtr> parse_with(std::uint32_t at) {
    auto node = std::make_unique<WithStmt>(StmtKind::kWith, at);
    while (!tokens_.is(TokenType::kBlockEnd)) {
      if (!node->targets.empty()) BUNDLE_CHECK(tokens_.expect_operator(","));
      BUNDLE_TRY(ExprPtr target, expressions_.target(false));
      BUNDLE_CHECK(tokens_.expect_operator("="));
      BUNDLE_TRY(ExprPtr value, expressions_.expression());
      node->targets.push_back(std::move(target));
      node->values.push_back(std::move(value));
    }
    BUNDLE_TRY(node->body, whole_block("endwith"));
    return node;
  }

  Result<StmtPtr> parse_print(std::uint32_t at) {
    auto node = std::make_unique<OutputStmt>(StmtKind::kOutput, at);
    while (!tokens_.is(TokenType::kBlockEnd)) {
      if (!node->parts.empty()) BUNDLE_CHECK(tokens_.expect_operator(","));
      BUNDLE_TRY(ExprPtr part, expressions_.expression());
      node->parts.push_back(std::move(part));
    }
    return node;
  }

  Result<StmtPtr> parse_break(std::uint32_t at) {
    return StmtPtr(std::make_unique<JumpStmt>(StmtKind::kBreak, at));
  }
  Result<StmtPtr> parse_continue(std::uint32_t at) {
    return StmtPtr(std::make_unique<JumpStmt>(StmtKind::kContinue, at));
  }

  Result<StmtPtr> parse_block(std::uint32_t at) {
    auto node = std::make_unique<BlockStmt>(StmtKind::kBlock, at);
    BUNDLE_TRY(node->name, tokens_.take_name());
    if (tokens_.is_name("scoped") || tokens_.is_name("required")) {
      return tokens_.error("scoped and required blocks are not offered: there is no inheritance");
    }
    BUNDLE_TRY(node->body, whole_block("endblock"));
    tokens_.skip_name(node->name);
    return node;
  }

  Result<StmtPtr> parse_escape(std::uint32_t at) {
    auto node = std::make_unique<ScopeStmt>(StmtKind::kScope, at);
    BUNDLE_TRY(const ExprPtr option, expressions_.expression());
    if (option->kind != ExprKind::kConst || truthy(option->value)) {
      return tokens_.error_at(at, "autoescape is not offered: a prompt is no HTML");
    }
    BUNDLE_TRY(node->body, whole_block("endautoescape"));
    return node;
  }

  Result<std::unique_ptr<UnavailableStmt>> unavailable(std::uint32_t at, std::string what) {
    auto node = std::make_unique<UnavailableStmt>(StmtKind::kUnavailable, at);
    node->what = std::move(what);
    BUNDLE_TRY(node->source, expressions_.expression());
    return node;
  }

  void skip_context() {
    if (!tokens_.is_name("with") && !tokens_.is_name("without")) return;
    if (!tokens_.look().is_name("context")) return;
    tokens_.next();
    tokens_.next();
  }

  Result<StmtPtr> parse_extends(std::uint32_t at) {
    BUNDLE_TRY(auto node, unavailable(at, "extends"));
    return node;
  }

  Result<StmtPtr> parse_include(std::uint32_t at) {
    BUNDLE_TRY(auto node, unavailable(at, "include"));
    if (tokens_.is_name("ignore") && tokens_.look().is_name("missing")) {
      tokens_.next();
      tokens_.next();
    }
    skip_context();
    return node;
  }

  Result<StmtPtr> parse_import(std::uint32_t at) {
    BUNDLE_TRY(auto node, unavailable(at, "import"));
    BUNDLE_CHECK(tokens_.expect_name("as"));
    BUNDLE_TRY(ExprPtr target, expressions_.name_target(NameUse::kStore));
    node->targets.push_back(std::move(target));
    skip_context();
    return node;
  }

  Result<StmtPtr> parse_from(std::uint32_t at) {
    BUNDLE_TRY(auto node, unavailable(at, "import"));
    BUNDLE_CHECK(tokens_.expect_name("import"));
    do {
      BUNDLE_TRY(ExprPtr target, expressions_.name_target(NameUse::kStore));
      if (tokens_.skip_name("as")) {
        BUNDLE_TRY(target, expressions_.name_target(NameUse::kStore));
      }
      node->targets.push_back(std::move(target));
    } while (tokens_.skip_operator(","));
    skip_context();
    return node;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
};

}  // namespace

Result<Template> parse_template(const SourceText& source) {
  BUNDLE_TRY(auto tokens, tokenize(source));
  Template result;
  BUNDLE_TRY(result.body, Parser(source, std::move(tokens)).parse());
  BUNDLE_CHECK(resolve_names(source, result));
  return result;
}

}  // namespace bundle::chat
