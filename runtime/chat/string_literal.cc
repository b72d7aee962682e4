#include "runtime/chat/string_literal.h"

#include <cstdint>
#include <cstdio>

#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

/// Jinja first turns what is not ASCII into escapes, then resolves all escapes; so a backslash
/// before such a character escapes the backslash of that escape.
std::string to_ascii(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c < 0x80) {
      out += static_cast<char>(c);
      continue;
    }
    char buffer[16];
    const char* format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
    std::snprintf(buffer, sizeof buffer, format, static_cast<unsigned>(c));
    out += buffer;
  }
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Appends the character that `size` hex digits at `at` name.
bool append_hex(std::string& out, std::string_view text, std::size_t& at, std::size_t size) {
  if (size > text.size() - at) return false;
  char32_t c = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const int digit = hex_digit(text[at++]);
    if (digit < 0) return false;
    c = c * 16 + static_cast<char32_t>(digit);
  }
  if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return false;
  append_utf8(out, c);
  return true;
}

void append_octal(std::string& out, std::string_view text, std::size_t& at, char first) {
  auto c = static_cast<char32_t>(first - '0');
  for (int i = 0; i < 2 && at < text.size() && text[at] >= '0' && text[at] <= '7'; ++i) {
    c = c * 8 + static_cast<char32_t>(text[at++] - '0');
  }
  append_utf8(out, c);
}

bool append_escape(std::string& out, std::string_view text, std::size_t& at) {
  constexpr std::string_view kLetters = "\\'\"abfnrtv";
  constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  if (at >= text.size()) return false;
  const char c = text[at++];
  if (const auto i = kLetters.find(c); i != std::string_view::npos) {
    out += kMeanings[i];
    return true;
  }
  switch (c) {
    case '\n':
      return true;
    case 'x':
      return append_hex(out, text, at, 2);
    case 'u':
      return append_hex(out, text, at, 4);
    case 'U':
      return append_hex(out, text, at, 8);
    case 'N':
      return false;  // names of characters are not known here
    default:
      break;
  }
  if (c >= '0' && c <= '7') {
    append_octal(out, text, at, c);
  } else {
    out += '\\';
    out += c;
  }
  return true;
}

}  // namespace

std::optional<std::string> unescape_literal(std::string_view literal) {
  if (literal.find('\\') == std::string_view::npos) return std::string(literal);
  const std::string text = to_ascii(literal);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at++];
    if (c != '\\') {
      out += c;
    } else if (!append_escape(out, text, at)) {
      return {};
    }
  }
  return out;
}

}  // namespace bundle::chat
