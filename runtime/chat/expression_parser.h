// Recursive descent over Jinja's expressions, with Jinja's own precedence: `not` binds looser than
// comparison, `~` between + and *, filters tighter than any operator, and -x|f is -(x)|f.
#pragma once

#include <string_view>

#include "base/result.h"
#include "runtime/chat/ast.h"
#include "runtime/chat/token_stream.h"

namespace bundle::chat {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  /// One expression; without `conditional`, `if` ends it.
  Result<ExprPtr> expression(bool conditional = true);

  /// An expression, or a tuple without parentheses. The name `end`, when not empty, ends a tuple.
  Result<ExprPtr> tuple(bool conditional = true, std::string_view end = "");

  /// What `set` and `for` assign to: a name, names in tuples, and for `set` namespace attributes.
  Result<ExprPtr> target(bool with_namespace, std::string_view end = "");
  Result<ExprPtr> name_target(NameUse use);

  /// One or more filters on `input`, which may be null. With `start_inline` the first has no "|".
  Result<ExprPtr> filters(ExprPtr input, bool start_inline = false);

 private:
  using Rule = Result<ExprPtr> (ExpressionParser::*)();

  Result<ExprPtr> conditional();
  Result<ExprPtr> disjunction();
  Result<ExprPtr> conjunction();
  Result<ExprPtr> negation();
  Result<ExprPtr> comparison();
  Result<ExprPtr> sum();
  Result<ExprPtr> concatenation();
  Result<ExprPtr> product();
  Result<ExprPtr> power();
  Result<ExprPtr> unary() { return signed_operand(true); }
  Result<ExprPtr> signed_operand(bool with_filter);
  Result<ExprPtr> primary(bool with_namespace = false);
  Result<ExprPtr> name_or_constant(bool with_namespace);
  Result<ExprPtr> string_constant();
  Result<ExprPtr> parenthesized();
  Result<ExprPtr> list();
  Result<ExprPtr> dict();
  Result<ExprPtr> postfix(ExprPtr node);
  Result<ExprPtr> filter_suffix(ExprPtr node);
  Result<ExprPtr> attribute(ExprPtr node);
  Result<ExprPtr> subscript(ExprPtr node);
  Result<ExprPtr> slice(ExprPtr object, ExprPtr start, std::uint32_t at);
  Result<ExprPtr> slice_bound();
  Result<ExprPtr> call(ExprPtr node);
  Result<ExprPtr> test(ExprPtr node);
  Result<std::unique_ptr<CallArguments>> call_arguments();
  Status call_argument(CallArguments& args);
  Result<std::string> dotted_name();
  bool at_test_argument() const;

  Result<ExprPtr> tuple_of(bool simplified, bool conditional, bool with_namespace,
                           std::string_view end, bool parenthesized);
  bool at_tuple_end(std::string_view end) const;
  Result<ExprPtr> left_associative(Rule operand, const std::pair<std::string_view, BinaryOp>* ops,
                                   std::size_t count);
  /// Sets the height, and refuses a tree that is too high.
  Result<ExprPtr> finish(ExprPtr node);

  TokenStream& tokens_;
  int depth_ = 0;
};

}  // namespace bundle::chat
