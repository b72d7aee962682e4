// Template text to tokens. White space around tags goes here, by Jinja's rules under trim_blocks
// (the line end after a tag) and lstrip_blocks (the indent before one), and by "-" and "+" in tags.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/chat/source_text.h"
#include "runtime/chat/value.h"

namespace bundle::chat {

enum class TokenType : std::uint8_t {
  kData,
  kBlockBegin,
  kBlockEnd,
  kVariableBegin,
  kVariableEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenType type;
  std::uint32_t at;  // byte offset in the source
  std::string text;  // of data, names, operators; a string's value
  Value value = {};  // of numbers

  bool is_name(std::string_view name) const { return type == TokenType::kName && text == name; }
  bool is_operator(std::string_view op) const { return type == TokenType::kOperator && text == op; }
};

/// The tokens of the template; the last is kEnd. kBadInput with line and column on bad syntax.
Result<std::vector<Token>> tokenize(const SourceText& source);

}  // namespace bundle::chat
