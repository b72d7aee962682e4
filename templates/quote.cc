#include "templates/quote.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/text.h"

namespace bundle::templates {
namespace {

constexpr char kHex[] = "0123456789abcdef";

bool is_bare(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("_@+=:,./-").find(c) != std::string_view::npos;
}

/// What YAML 1.1 takes for a line break or forbids, though it is printable elsewhere: C1 controls,
/// U+2028, U+2029, the byte order mark, and U+FFFE and U+FFFF.
bool is_awkward(std::uint32_t code) {
  return code == 0x7F || (code >= 0x80 && code <= 0x9F) || code == 0x2028 || code == 0x2029 ||
         code == 0xFEFF || code == 0xFFFE || code == 0xFFFF;
}

std::string unicode_escape(std::uint32_t code) {
  std::string text = "\\u0000";
  for (int i = 5; i >= 2; --i, code >>= 4) text[i] = kHex[code & 15];
  return text;
}

/// The character at the start of valid UTF-8, and its length in bytes.
std::pair<std::uint32_t, std::size_t> first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return {byte(0), 1};
  if (byte(0) < 0xE0) return {(byte(0) & 0x1Fu) << 6 | (byte(1) & 0x3Fu), 2};
  if (byte(0) < 0xF0) {
    return {(byte(0) & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu), 3};
  }
  return {0x10000, 4};  // no character beyond the first plane needs an escape
}

/// Words that one YAML version or another reads as a boolean or null.
bool is_typed_word(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static constexpr std::array kWords = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

bool is_plain(std::string_view text) {
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text[0])) == 0) return false;
  const bool safe = std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '/' ||
           c == '-';
  });
  return safe && !is_typed_word(text);
}

void append_block(std::string& out, const Json& value, std::size_t indent);

/// A value behind "key:" or "-": on the same line when it is a scalar or empty.
void append_member(std::string& out, const Json& value, std::size_t indent) {
  const bool nested = (value.is_object() && !value.get_object().empty()) ||
                      (value.is_array() && !value.get_array().empty());
  if (!nested) {
    out += ' ' + yaml_scalar(value) + '\n';
    return;
  }
  out += '\n';
  append_block(out, value, indent);
}

void append_block(std::string& out, const Json& value, std::size_t indent) {
  const std::string space(indent, ' ');
  if (value.is_object()) {
    for (const auto& [key, member] : value.get_object()) {
      out += space + yaml_scalar(Json(key)) + ':';
      append_member(out, member, indent + 2);
    }
    return;
  }
  for (const Json& item : value.get_array()) {
    out += space + '-';
    append_member(out, item, indent + 2);
  }
}

/// Without an exponent: "2E0" is a number to JSON and a text to YAML 1.1.
std::string decimal(double value) {
  std::array<char, 400> digits;
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed);
  return {digits.data(), end};
}

Error refused(std::string_view text, const char* why) {
  return bad_input("the value " + quoted_json(replace_invalid_utf8(text)) + " " + why);
}

/// A double-quoted systemd word; `doubled` characters stand twice.
Result<std::string> systemd_quoted(std::string_view text, std::string_view doubled) {
  if (!is_valid_utf8(text)) return refused(text, "is not UTF-8, which systemd refuses");
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return refused(text, "holds a zero byte, which no process can be given");
    if (doubled.find(c) != std::string_view::npos) {
      out.append(2, c);
    } else if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7F) {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

std::string quoted_json(std::string_view text) {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = replace_invalid_utf8(text);
  std::string out = "\"";
  while (!text.empty()) {
    const auto [code, length] = first_character(text);
    if (code == '"' || code == '\\') {
      out += {'\\', static_cast<char>(code)};
    } else if (code == '\n') {
      out += "\\n";
    } else if (code == '\t') {
      out += "\\t";
    } else if (code < 0x20 || is_awkward(code)) {
      out += unicode_escape(code);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::min(length, text.size()));
  }
  return out + '"';
}

std::string yaml_scalar(const Json& value) {
  if (value.is_object()) return "{}";
  if (value.is_array()) return "[]";
  if (value.is_double()) return decimal(value.get_double());
  if (!value.is_string()) return boost::json::serialize(value);
  const std::string_view text(value.get_string());
  return is_plain(text) ? std::string(text) : quoted_json(text);
}

std::string yaml_block(const Json& value, std::size_t indent) {
  std::string out;
  append_block(out, value, indent);
  return out;
}

std::string shell_word(std::string_view text) {
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_bare)) return std::string(text);
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += R"('\'')";
    } else {
      out += c;
    }
  }
  return out + '\'';
}

Result<std::string> systemd_exec_word(std::string_view text) { return systemd_quoted(text, "%$"); }

Result<std::string> systemd_word(std::string_view text) {
  const bool dropped = std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t' && c != '\n') || byte == 0x7F;
  });
  if (dropped) return refused(text, "holds a control character, and systemd would drop it");
  return systemd_quoted(text, "%");
}

Result<std::string> bare_word(std::string_view text, bool blanks) {
  char before = ' ';
  for (const char c : text) {
    const bool blank = c == ' ' && blanks && before != ' ';
    if (!is_bare(c) && !blank && c != '[' && c != ']') {
      return refused(text, "holds a character that cannot stand in this place");
    }
    before = c;
  }
  if (text.empty() || before == ' ') return refused(text, "is empty or ends in a blank");
  return std::string(text);
}

}  // namespace bundle::templates
