#include "runtime/chat/html.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

// The named references that text carries in practice: markup's own and Latin-1's order by code.
constexpr std::array<std::pair<std::string_view, char32_t>, 24> kNamed = {
    {{"amp", '&'},      {"lt", '<'},        {"gt", '>'},       {"quot", '"'},     {"apos", '\''},
     {"nbsp", 0xa0},    {"copy", 0xa9},     {"reg", 0xae},     {"deg", 0xb0},     {"laquo", 0xab},
     {"raquo", 0xbb},   {"middot", 0xb7},   {"times", 0xd7},   {"divide", 0xf7},  {"ndash", 0x2013},
     {"mdash", 0x2014}, {"lsquo", 0x2018},  {"rsquo", 0x2019}, {"ldquo", 0x201c}, {"rdquo", 0x201d},
     {"bull", 0x2022},  {"hellip", 0x2026}, {"trade", 0x2122}, {"euro", 0x20ac}}};

/// The code point of "#38" or "#x26", or 0 when it is none.
char32_t numeric_reference(std::string_view name) {
  const bool hex = name.size() > 1 && (name[1] == 'x' || name[1] == 'X');
  std::uint32_t value = 0;
  const std::string_view digits = name.substr(hex ? 2 : 1);
  if (digits.empty()) return 0;
  for (const char c : digits) {
    const bool decimal = c >= '0' && c <= '9';
    const char lower = static_cast<char>(c | 0x20);
    if (!decimal && !(hex && lower >= 'a' && lower <= 'f')) return 0;
    value =
        value * (hex ? 16 : 10) + static_cast<std::uint32_t>(decimal ? c - '0' : lower - 'a' + 10);
    if (value > 0x10ffff) return 0xfffd;
  }
  return value == 0 || (value >= 0xd800 && value < 0xe000) ? 0xfffd : value;
}

char32_t reference(std::string_view name) {
  if (!name.empty() && name[0] == '#') return numeric_reference(name);
  const auto* at = std::find_if(kNamed.begin(), kNamed.end(),
                                [&](const auto& entry) { return entry.first == name; });
  return at == kNamed.end() ? 0 : at->second;
}

/// The text without its tags and comments; one that has no end stays.
std::string drop_tags(std::string_view text) {
  std::string out;
  std::size_t at = 0;
  while (true) {
    const std::size_t open = text.find('<', at);
    if (open == std::string_view::npos) break;
    const bool comment = text.substr(open, 4) == "<!--";
    const std::size_t close = comment ? text.find("-->", open + 4) : text.find('>', open);
    if (close == std::string_view::npos) break;
    out += text.substr(at, open - at);
    at = close + (comment ? 3 : 1);
  }
  return out.append(text.substr(at));
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string unescape_html(std::string_view text) {
  constexpr std::size_t kLongest = 32;
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text[at] == '&' ? text.substr(at, kLongest).find(';') : 0;
    const bool found = text[at] == '&' && end != std::string_view::npos;
    const char32_t c = found ? reference(text.substr(at + 1, end - 1)) : 0;
    if (c != 0) {
      append_utf8(out, c);
      at += end + 1;
    } else {
      out += text[at++];
    }
  }
  return out;
}

std::string strip_tags(std::string_view text) {
  const std::string plain = drop_tags(text);
  std::string out;
  for (const auto word : split_words(plain)) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return unescape_html(out);
}

std::string url_quote(std::string_view text, bool for_query) {
  constexpr std::string_view kSafe = "_.-~";
  constexpr const char* kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (alnum || kSafe.find(c) != std::string_view::npos || (c == '/' && !for_query)) {
      out += c;
    } else if (c == ' ' && for_query) {
      out += '+';
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

}  // namespace bundle::chat
