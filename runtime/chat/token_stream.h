// The tokens of a template, read one by one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/chat/lexer.h"
#include "runtime/chat/source_text.h"

namespace bundle::chat {

class TokenStream {
 public:
  TokenStream(const SourceText& source, std::vector<Token> tokens)
      : source_(source), tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  /// The one after it, or the last.
  const Token& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  /// Returns the current token and moves on, except past the end.
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }

  bool is(TokenType type) const { return current().type == type; }
  bool is_name(std::string_view name) const { return current().is_name(name); }
  bool is_operator(std::string_view op) const { return current().is_operator(op); }
  bool skip_name(std::string_view name) { return is_name(name) && skip(); }
  bool skip_operator(std::string_view op) { return is_operator(op) && skip(); }

  Status expect_operator(std::string_view op) {
    if (skip_operator(op)) return {};
    return error("expected '" + std::string(op) + "', got " + describe());
  }
  Status expect_name(std::string_view name) {
    if (skip_name(name)) return {};
    return error("expected '" + std::string(name) + "', got " + describe());
  }
  Result<std::string> take_name() {
    if (is(TokenType::kName)) return next().text;
    return error("expected a name, got " + describe());
  }
  Status expect(TokenType type) {
    if (is(type)) {
      next();
      return {};
    }
    return error("expected the end of the tag, got " + describe());
  }

  /// An error at the current token.
  Error error(std::string what) const { return error_at(current().at, std::move(what)); }
  Error error_at(std::uint32_t at, std::string what) const {
    return source_.error_at(at, std::move(what));
  }
  /// The current token for an error message.
  std::string describe() const;

 private:
  bool skip() {
    next();
    return true;
  }

  const SourceText& source_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace bundle::chat
