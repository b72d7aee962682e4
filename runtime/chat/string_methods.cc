// The methods of str. A marked text (see Text::markup) gives marked texts.
#include <algorithm>
#include <unordered_map>

#include "runtime/chat/format_spec.h"
#include "runtime/chat/html.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/parameters.h"
#include "runtime/chat/repr.h"
#include "runtime/chat/text_search.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

Result<Value> like(Runtime& rt, const Value& self, std::string text) {
  return rt.text(std::move(text), self.text().markup);
}

Result<Value> like(Runtime& rt, const Value& self, std::string_view text) {
  return like(rt, self, std::string(text));
}

Result<Value> list_like(Runtime& rt, const Value& self,
                        const std::vector<std::string_view>& parts) {
  BUNDLE_CHECK(rt.check_size(parts.size() * sizeof(Value)));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const auto part : parts) {
    BUNDLE_TRY(Value item, like(rt, self, part));
    items.push_back(std::move(item));
  }
  return rt.list(std::move(items));
}

Status no_arguments(Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("the method", {}, 0, std::move(args)));
  return {};
}

/// upper(), title() and the like.
template <std::string (*kMap)(std::string_view)>
Result<Value> mapped(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_CHECK(no_arguments(std::move(args)));
  BUNDLE_CHECK(rt.work(self.str().size() * 4));
  return like(rt, self, kMap(self.str()));
}

template <bool kLeft, bool kRight>
Result<Value> stripped(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("strip", {""}, 0, std::move(args)));
  if (!p.is_set(0)) return like(rt, self, strip(self.str(), kLeft, kRight));
  BUNDLE_TRY(const std::string chars, p.text(0, ""));
  return like(rt, self, strip_chars(self.str(), chars, kLeft, kRight));
}

/// isalpha() and the like: not empty, and all code points pass.
template <bool (*kCheck)(char32_t)>
Result<Value> all_are(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_CHECK(no_arguments(std::move(args)));
  const std::string& text = self.str();
  BUNDLE_CHECK(rt.work(text.size()));
  bool all = !text.empty();
  for (std::size_t at = 0; all && at < text.size();) all = kCheck(next_code_point(text, at));
  return Value(all);
}

bool is_alnum(char32_t c) { return is_alpha(c) || is_numeric(c); }
bool is_ascii(char32_t c) { return c < 0x80; }

/// isascii() and isprintable(), which the empty text passes.
template <bool (*kCheck)(char32_t)>
Result<Value> none_fails(Runtime& rt, const Value& self, Arguments args) {
  if (self.str().empty()) return Value(true);
  return all_are<kCheck>(rt, self, std::move(args));
}

/// islower() and isupper(): at least one cased, none of the other case.
template <bool (*kWanted)(char32_t), bool (*kOther)(char32_t)>
Result<Value> has_case(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_CHECK(no_arguments(std::move(args)));
  const std::string& text = self.str();
  BUNDLE_CHECK(rt.work(text.size()));
  bool some = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (kOther(c) || is_title(c)) return Value(false);
    some = some || kWanted(c);
  }
  return Value(some);
}

Result<Value> is_titled(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_CHECK(no_arguments(std::move(args)));
  const std::string& text = self.str();
  BUNDLE_CHECK(rt.work(text.size()));
  bool some = false;
  bool in_word = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    const bool capital = is_upper(c) || is_title(c);
    if (capital ? in_word : is_lower(c) && !in_word) return Value(false);
    in_word = capital || is_lower(c);
    some = some || in_word;
  }
  return Value(some);
}

Result<Value> is_identifier(Runtime&, const Value& self, Arguments args) {
  BUNDLE_CHECK(no_arguments(std::move(args)));
  const std::string& text = self.str();
  std::size_t at = 0;
  bool good = !text.empty() && is_name_start(next_code_point(text, at));
  while (good && at < text.size()) good = is_name_part(next_code_point(text, at));
  return Value(good);
}

/// The part of a text that optional bounds, in code points, leave.
struct Window {
  std::string_view text;
  std::size_t first;  // code points before it
  bool valid;         // false when the start lies behind the end
};

Result<Window> window_of(Runtime& rt, const Value& self, const Parameters& p) {
  const Text& text = self.text();
  BUNDLE_CHECK(rt.work(text.bytes.size()));
  const Int size = static_cast<Int>(text.length);
  BUNDLE_TRY(Int start, p.integer(1, 0));
  BUNDLE_TRY(Int end, p.integer(2, size));
  if (start < 0) start = std::max(start + size, Int{0});
  if (end < 0) end = std::max(end + size, Int{0});
  end = std::min(end, size);
  if (start > end) return Window{"", 0, false};
  const std::string_view bytes = text.bytes;
  const std::size_t from = byte_offset(bytes, static_cast<std::size_t>(start));
  const std::size_t length = byte_offset(bytes.substr(from), static_cast<std::size_t>(end - start));
  return Window{bytes.substr(from, length), static_cast<std::size_t>(start), true};
}

/// find and rfind, or index and rindex, which must find.
template <bool kLast, bool kMust>
Result<Value> found(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("find", {"", "", ""}, 1, std::move(args)));
  if (!p.at(0).is(Kind::kString)) return render_error("find wants a string");
  const std::string& what = p.at(0).str();
  BUNDLE_TRY(const Window window, window_of(rt, self, p));
  std::size_t at = kNotFound;
  if (window.valid) {
    at = kLast ? find_last_text(window.text, what) : find_text(window.text, what);
  }
  if (at != kNotFound) {
    return Value::integer(
        static_cast<std::int64_t>(window.first + count_code_points(window.text.substr(0, at))));
  }
  if (kMust) return render_error("substring not found");
  return Value::integer(-1);
}

Result<Value> count(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("count", {"", "", ""}, 1, std::move(args)));
  if (!p.at(0).is(Kind::kString)) return render_error("count wants a string");
  BUNDLE_TRY(const Window window, window_of(rt, self, p));
  if (!window.valid) return Value::integer(0);
  return Value::integer(static_cast<std::int64_t>(count_text(window.text, p.at(0).str())));
}

bool has_affix(std::string_view text, std::string_view affix, bool at_end) {
  if (affix.size() > text.size()) return false;
  return (at_end ? text.substr(text.size() - affix.size()) : text.substr(0, affix.size())) == affix;
}

template <bool kAtEnd>
Result<Value> affixed(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("startswith", {"", "", ""}, 1, std::move(args)));
  BUNDLE_CHECK(rt.spend(1));
  Window window{self.str(), 0, true};
  if (p.has(1)) {
    BUNDLE_TRY(window, window_of(rt, self, p));
  }
  const std::vector<Value> one = {p.at(0)};
  for (const Value& affix : p.at(0).is(Kind::kTuple) ? p.at(0).items() : one) {
    if (!affix.is(Kind::kString)) {
      return render_error("startswith and endswith want a str or a tuple of str, not '" +
                          std::string(type_name(affix)) + "'");
    }
    if (window.valid && has_affix(window.text, affix.str(), kAtEnd)) return Value(true);
  }
  return Value(false);
}

template <bool kSuffix>
Result<Value> removed(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("removeprefix", {""}, 1, std::move(args)));
  if (!p.at(0).is(Kind::kString)) return render_error("removeprefix wants a string");
  const std::string& affix = p.at(0).str();
  std::string_view text = self.str();
  if (has_affix(text, affix, kSuffix)) {
    text = kSuffix ? text.substr(0, text.size() - affix.size()) : text.substr(affix.size());
  }
  return like(rt, self, text);
}

Result<std::size_t> most_of(const Parameters& p, std::size_t i) {
  BUNDLE_TRY(const Int most, p.integer(i, -1));
  return most < 0 || most > Int{1} << 40 ? kNotFound : static_cast<std::size_t>(most);
}

template <bool kRight>
Result<Value> split(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("split", {"sep", "maxsplit"}, 0, std::move(args)));
  BUNDLE_TRY(const std::size_t most, most_of(p, 1));
  BUNDLE_CHECK(rt.work(self.str().size()));
  if (!p.is_set(0)) {
    return list_like(rt, self,
                     kRight ? split_space_right(self.str(), most) : split_space(self.str(), most));
  }
  BUNDLE_TRY(const std::string separator, p.text(0, ""));
  if (separator.empty()) return render_error("empty separator");
  return list_like(rt, self,
                   kRight ? split_text_right(self.str(), separator, most)
                          : split_text(self.str(), separator, most));
}

Result<Value> splitlines(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("splitlines", {"keepends"}, 0, std::move(args)));
  return list_like(rt, self, split_lines(self.str(), p.flag(0)));
}

template <bool kLast>
Result<Value> partition(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("partition", {""}, 1, std::move(args)));
  if (!p.at(0).is(Kind::kString)) return render_error("partition wants a string");
  const std::string& separator = p.at(0).str();
  if (separator.empty()) return render_error("empty separator");
  const std::string_view text = self.str();
  const std::size_t at = kLast ? find_last_text(text, separator) : find_text(text, separator);
  std::string_view parts[3] = {kLast ? "" : text, "", kLast ? text : ""};
  if (at != kNotFound) {
    parts[0] = text.substr(0, at);
    parts[1] = separator;
    parts[2] = text.substr(at + separator.size());
  }
  std::vector<Value> items;
  for (const auto part : parts) {
    BUNDLE_TRY(Value item, like(rt, self, part));
    items.push_back(std::move(item));
  }
  return rt.tuple(std::move(items));
}

Result<Value> replace(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("replace", {"", "", ""}, 2, std::move(args)));
  if (!p.at(0).is(Kind::kString) || !p.at(1).is(Kind::kString)) {
    return render_error("replace wants two strings");
  }
  BUNDLE_TRY(const std::size_t most, most_of(p, 2));
  const bool escape = self.text().markup && !p.at(1).text().markup;
  const std::string by = escape ? escape_html(p.at(1).str()) : p.at(1).str();
  BUNDLE_CHECK(rt.work(self.str().size()));
  BUNDLE_CHECK(rt.check_size(replaced_size(self.str(), p.at(0).str(), by, most)));
  return like(rt, self, replace_text(self.str(), p.at(0).str(), by, most));
}

Result<Value> join(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("join", {""}, 1, std::move(args)));
  BUNDLE_TRY(const CursorPtr cursor, iterate(rt, p.at(0)));
  std::string out;
  for (bool first = true;; first = false) {
    BUNDLE_TRY(const auto item, cursor->next(rt));
    if (!item) break;
    const bool markup = self.text().markup;
    if (!item->is(Kind::kString) && !markup) {
      return render_error("join wants strings, not '" + std::string(type_name(*item)) + "'");
    }
    if (!first) out += self.str();
    BUNDLE_TRY(const std::string text, to_str(rt, *item));
    const bool safe = item->is(Kind::kString) && item->text().markup;
    out += markup && !safe ? escape_html(text) : text;
    BUNDLE_CHECK(rt.check_size(out.size()));
  }
  return like(rt, self, std::move(out));
}

enum class Side { kLeft, kRight, kCenter };

template <Side kSide>
Result<Value> justify(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("justify", {"", ""}, 1, std::move(args)));
  BUNDLE_TRY(const Int wanted, p.integer(0, 0));
  BUNDLE_TRY(const std::string fill, p.text(1, " "));
  if (count_code_points(fill) != 1) {
    return render_error("the fill character must be exactly one character long");
  }
  const Int length = static_cast<Int>(self.text().length);
  if (wanted <= length) return self;
  const Int missing = wanted - length;
  BUNDLE_CHECK(
      rt.check_size(missing > Int{1} << 40 ? kNotFound : static_cast<std::uint64_t>(missing) * 4));
  Int left = kSide == Side::kLeft ? 0 : missing;
  if (kSide == Side::kCenter) left = missing / 2 + (missing & wanted & 1);
  std::string out;
  for (Int i = 0; i < left; ++i) out += fill;
  out += self.str();
  for (Int i = left; i < missing; ++i) out += fill;
  return like(rt, self, std::move(out));
}

Result<Value> zfill(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("zfill", {""}, 1, std::move(args)));
  BUNDLE_TRY(const Int width, p.integer(0, 0));
  const Int missing = width - static_cast<Int>(self.text().length);
  if (missing <= 0) return self;
  BUNDLE_CHECK(
      rt.check_size(missing > Int{1} << 40 ? kNotFound : static_cast<std::uint64_t>(missing)));
  std::string out = self.str();
  const bool sign = !out.empty() && (out[0] == '+' || out[0] == '-');
  out.insert(sign ? 1 : 0, static_cast<std::size_t>(missing), '0');
  return like(rt, self, std::move(out));
}

Result<Value> expandtabs(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("expandtabs", {"tabsize"}, 0, std::move(args)));
  BUNDLE_TRY(const Int size, p.integer(0, 8));
  std::string out;
  Int column = 0;
  for (const char c : self.str()) {
    if (c == '\t') {
      const Int spaces = size <= 0 ? Int{0} : size - column % size;
      BUNDLE_CHECK(rt.check_size(
          spaces > Int{1} << 40 ? kNotFound : out.size() + static_cast<std::uint64_t>(spaces)));
      out.append(static_cast<std::size_t>(spaces), ' ');
      column += spaces;
      continue;
    }
    out += c;
    if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) ++column;
    if (c == '\n' || c == '\r') column = 0;
  }
  return like(rt, self, std::move(out));
}

Result<Value> format_map(Runtime& rt, const Value& self, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("format_map", {""}, 1, std::move(args)));
  if (!p.at(0).is(Kind::kDict)) return render_error("format_map wants a mapping");
  Arguments named;
  for (const auto& entry : p.at(0).dict().entries()) {
    if (entry.key.is(Kind::kString)) named.named.emplace_back(entry.key.str(), entry.value);
  }
  return format_method(rt, self, named);
}

Result<Value> format_call(Runtime& rt, const Value& self, Arguments args) {
  return format_method(rt, self, args);
}

Result<Value> refuse(Runtime&, const Value&, Arguments) {
  return render_error("encode, translate and maketrans are not offered to templates");
}

}  // namespace

Method find_string_method(std::string_view name) {
  static const std::unordered_map<std::string_view, Method> kMethods = {
      {"capitalize", mapped<capitalize>},
      {"casefold", mapped<case_fold>},
      {"center", justify<Side::kCenter>},
      {"count", count},
      {"encode", refuse},
      {"endswith", affixed<true>},
      {"expandtabs", expandtabs},
      {"find", found<false, false>},
      {"format", format_call},
      {"format_map", format_map},
      {"index", found<false, true>},
      {"isalnum", all_are<is_alnum>},
      {"isalpha", all_are<is_alpha>},
      {"isascii", none_fails<is_ascii>},
      {"isdecimal", all_are<is_decimal>},
      {"isdigit", all_are<is_digit>},
      {"isidentifier", is_identifier},
      {"islower", has_case<is_lower, is_upper>},
      {"isnumeric", all_are<is_numeric>},
      {"isprintable", none_fails<is_printable>},
      {"isspace", all_are<is_space>},
      {"istitle", is_titled},
      {"isupper", has_case<is_upper, is_lower>},
      {"join", join},
      {"ljust", justify<Side::kLeft>},
      {"lower", mapped<to_lower>},
      {"lstrip", stripped<true, false>},
      {"maketrans", refuse},
      {"partition", partition<false>},
      {"removeprefix", removed<false>},
      {"removesuffix", removed<true>},
      {"replace", replace},
      {"rfind", found<true, false>},
      {"rindex", found<true, true>},
      {"rjust", justify<Side::kRight>},
      {"rpartition", partition<true>},
      {"rsplit", split<true>},
      {"rstrip", stripped<false, true>},
      {"split", split<false>},
      {"splitlines", splitlines},
      {"startswith", affixed<false>},
      {"strip", stripped<true, true>},
      {"swapcase", mapped<swap_case>},
      {"title", mapped<to_title>},
      {"translate", refuse},
      {"upper", mapped<to_upper>},
      {"zfill", zfill}};
  const auto at = kMethods.find(name);
  return at == kMethods.end() ? nullptr : at->second;
}

}  // namespace bundle::chat
