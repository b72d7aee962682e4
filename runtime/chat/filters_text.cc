// Filters on text.
#include <algorithm>
#include <unordered_map>

#include "runtime/chat/filters.h"
#include "runtime/chat/html.h"
#include "runtime/chat/json_dump.h"
#include "runtime/chat/methods.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/parameters.h"
#include "runtime/chat/percent_format.h"
#include "runtime/chat/repr.h"
#include "runtime/chat/text_search.h"
#include "runtime/chat/unicode.h"
#include "runtime/chat/wordwrap.h"

namespace bundle::chat {
namespace {

/// markupsafe.soft_str: str(), and a marked text stays marked.
Result<Value> soft_text(Runtime& rt, const Value& value) {
  return value.is(Kind::kString) ? value : to_text(rt, value);
}

/// A filter that is a method of str without arguments.
Result<Value> as_method(Runtime& rt, Arguments args, std::string_view method) {
  BUNDLE_TRY(const auto p, Parameters::bind(method, {"s"}, 1, std::move(args)));
  BUNDLE_TRY(const Value text, soft_text(rt, p.at(0)));
  return find_string_method(method)(rt, text, {});
}

Result<Value> filter_upper(Runtime& rt, Arguments args) {
  return as_method(rt, std::move(args), "upper");
}
Result<Value> filter_lower(Runtime& rt, Arguments args) {
  return as_method(rt, std::move(args), "lower");
}
Result<Value> filter_capitalize(Runtime& rt, Arguments args) {
  return as_method(rt, std::move(args), "capitalize");
}

Result<Value> filter_center(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("center", {"value", "width"}, 1, std::move(args)));
  BUNDLE_TRY(const Value text, soft_text(rt, p.at(0)));
  Arguments forwarded;
  forwarded.positional.push_back(p.value_or(1, Value::integer(80)));
  return find_string_method("center")(rt, text, std::move(forwarded));
}

Result<Value> filter_trim(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("trim", {"value", "chars"}, 1, std::move(args)));
  BUNDLE_TRY(const Value text, soft_text(rt, p.at(0)));
  Arguments forwarded;
  forwarded.positional.push_back(p.value_or(1, Value()));
  return find_string_method("strip")(rt, text, std::move(forwarded));
}

bool is_word_break(char32_t c) {
  constexpr std::u32string_view kBreaks = U"-({[<";
  return is_space(c) || kBreaks.find(c) != std::u32string_view::npos;
}

/// The rest of a word in lower case behind its first letter in upper case.
void append_titled(std::string& out, std::string_view word) {
  if (word.empty()) return;
  std::size_t at = 0;
  next_code_point(word, at);
  out += to_upper(word.substr(0, at));
  out += to_lower(word.substr(at));
}

Result<Value> filter_title(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("title", {"s"}, 1, std::move(args)));
  BUNDLE_TRY(const Value text, soft_text(rt, p.at(0)));
  const std::string_view all = text.str();
  BUNDLE_CHECK(rt.work(all.size() * 4));
  std::string out;
  std::size_t start = 0;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t here = at;
    if (!is_word_break(next_code_point(all, at))) continue;
    append_titled(out, all.substr(start, here - start));
    out += all.substr(here, at - here);
    start = at;
  }
  append_titled(out, all.substr(start));
  return rt.text(std::move(out));
}

Result<Value> filter_string(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("string", {"s"}, 1, std::move(args)));
  return soft_text(rt, p.at(0));
}

Result<Value> filter_replace(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("replace", {"s", "old", "new", "count"}, 3, std::move(args)));
  BUNDLE_TRY(const Value text, to_text(rt, p.at(0)));
  Arguments forwarded;
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    BUNDLE_TRY(Value part, to_text(rt, p.at(i)));
    forwarded.positional.push_back(std::move(part));
  }
  if (p.is_set(3)) forwarded.positional.push_back(p.at(3));
  return find_string_method("replace")(rt, text, std::move(forwarded));
}

Result<Value> filter_format(Runtime& rt, Arguments args) {
  if (args.positional.empty()) return render_error("format is missing its input");
  BUNDLE_TRY(const Value text, soft_text(rt, args.positional.front()));
  args.positional.erase(args.positional.begin());
  if (args.named.empty()) {
    BUNDLE_TRY(const Value tuple, rt.tuple(std::move(args.positional)));
    return percent_format(rt, text, tuple);
  }
  if (!args.positional.empty()) {
    return render_error("can't handle positional and keyword arguments at the same time");
  }
  DictBuilder named;
  for (auto& [name, value] : args.named) named.set(Value::text(name), std::move(value));
  BUNDLE_TRY(const Value dict, rt.dict(std::move(named)));
  return percent_format(rt, text, dict);
}

Result<std::string> indent_width(Runtime& rt, const Parameters& p) {
  if (p.has(1) && p.at(1).is(Kind::kString)) return p.at(1).str();
  if (p.has(1) && !p.at(1).is_integral()) return render_error("indent wants a number or a string");
  BUNDLE_TRY(const Int width, p.integer(1, 4));
  const Int most = std::min(width, Int{1} << 40);
  BUNDLE_CHECK(rt.check_size(most < 0 ? 0 : static_cast<std::uint64_t>(most)));
  return std::string(most < 0 ? 0 : static_cast<std::size_t>(most), ' ');
}

Result<Value> filter_indent(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("indent", {"s", "width", "first", "blank"}, 1, std::move(args)));
  BUNDLE_TRY(const std::string indent, indent_width(rt, p));
  if (p.at(0).is(Kind::kUndefined)) return undefined_error(p.at(0));
  if (!p.at(0).is(Kind::kString)) return render_error("indent wants a string");
  const std::string text = p.at(0).str() + "\n";
  const auto lines = split_lines(text);
  BUNDLE_CHECK(rt.check_size(text.size() + lines.size() * indent.size()));
  std::string out = p.flag(2) ? indent : "";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i != 0) {
      out += '\n';
      if (p.flag(3) || !lines[i].empty()) out += indent;
    }
    out += lines[i];
  }
  return rt.text(std::move(out), p.at(0).text().markup);
}

Result<Value> filter_truncate(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("truncate", {"s", "length", "killwords", "end", "leeway"}, 1,
                              std::move(args)));
  BUNDLE_TRY(const Int length, p.integer(1, 255));
  BUNDLE_TRY(const std::string end, p.text(3, "..."));
  BUNDLE_TRY(const Int leeway, p.integer(4, 5));
  const Int end_length = static_cast<Int>(count_code_points(end));
  if (length < end_length || leeway < 0)
    return render_error("truncate: length or leeway too small");
  BUNDLE_TRY(const std::size_t size, length_of(rt, p.at(0)));
  if (static_cast<Int>(size) <= length + leeway) return p.at(0);
  if (!p.at(0).is(Kind::kString)) return render_error("truncate wants a string");
  const Text& text = p.at(0).text();
  std::string_view kept = text.bytes;
  kept = kept.substr(0, byte_offset(kept, static_cast<std::size_t>(length - end_length)));
  if (!p.flag(2)) kept = kept.substr(0, std::min(kept.rfind(' '), kept.size()));
  return rt.text(std::string(kept) + end, text.markup);
}

Result<Value> filter_wordwrap(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("wordwrap",
                              {"s", "width", "break_long_words", "wrapstring", "break_on_hyphens"},
                              1, std::move(args)));
  BUNDLE_TRY(const Int width, p.integer(1, 79));
  BUNDLE_TRY(const std::string between, p.text(3, "\n"));
  if (p.at(0).is(Kind::kUndefined)) return undefined_error(p.at(0));
  if (!p.at(0).is(Kind::kString)) return render_error("wordwrap wants a string");
  if (width <= 0) return render_error("invalid width (must be > 0)");
  WrapOptions options;
  options.width = static_cast<std::size_t>(std::min(width, Int{1} << 30));
  options.break_long_words = !p.has(2) || p.flag(2);
  options.break_on_hyphens = !p.has(4) || p.flag(4);
  BUNDLE_CHECK(rt.work(p.at(0).str().size() * 16));
  std::string out;
  bool first = true;
  for (const auto line : split_lines(p.at(0).str())) {
    const auto wrapped = wrap_line(line, options);
    if (!first) out += between;
    first = false;
    for (std::size_t i = 0; i < wrapped.size(); ++i) {
      if (i != 0) out += between;
      out += wrapped[i];
    }
    BUNDLE_CHECK(rt.check_size(out.size()));
  }
  return rt.text(std::move(out));
}

Result<Value> filter_wordcount(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("wordcount", {"s"}, 1, std::move(args)));
  BUNDLE_TRY(const Value value, soft_text(rt, p.at(0)));
  const std::string& text = value.str();
  BUNDLE_CHECK(rt.work(text.size()));
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    const bool word = c == '_' || is_alpha(c) || is_numeric(c);
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value::integer(words);
}

Result<Value> filter_escape(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("escape", {""}, 1, std::move(args)));
  if (p.at(0).is(Kind::kString) && p.at(0).text().markup) return p.at(0);
  BUNDLE_TRY(const std::string text, to_str(rt, p.at(0)));
  return rt.text(escape_html(text), true);
}

Result<Value> filter_force_escape(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("forceescape", {"value"}, 1, std::move(args)));
  BUNDLE_TRY(const std::string text, to_str(rt, p.at(0)));
  return rt.text(escape_html(text), true);
}

Result<Value> filter_safe(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("safe", {"value"}, 1, std::move(args)));
  BUNDLE_TRY(std::string text, to_str(rt, p.at(0)));
  return rt.text(std::move(text), true);
}

Result<Value> filter_striptags(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("striptags", {"value"}, 1, std::move(args)));
  BUNDLE_TRY(const std::string text, to_str(rt, p.at(0)));
  return rt.text(strip_tags(text));
}

Result<std::string> quote_value(Runtime& rt, const Value& value) {
  BUNDLE_TRY(const std::string text, to_str(rt, value));
  return url_quote(text, true);
}

Result<Value> filter_urlencode(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("urlencode", {"value"}, 1, std::move(args)));
  const Value& value = p.at(0);
  if (value.is(Kind::kString) || !is_iterable(rt, value)) {
    BUNDLE_TRY(const std::string text, to_str(rt, value));
    return rt.text(url_quote(text, false));
  }
  Value pairs = value;
  if (value.is(Kind::kDict)) {
    BUNDLE_TRY(pairs, rt.view(value, DictView::Part::kItems));
  }
  BUNDLE_TRY(const auto items, to_items(rt, pairs));
  std::string out;
  for (const Value& pair : items) {
    BUNDLE_TRY(const auto parts, to_items(rt, pair));
    if (parts.size() != 2) return render_error("urlencode wants pairs");
    BUNDLE_TRY(const std::string key, quote_value(rt, parts[0]));
    BUNDLE_TRY(const std::string text, quote_value(rt, parts[1]));
    out += (out.empty() ? "" : "&") + key + "=" + text;
  }
  return rt.text(std::move(out));
}

Result<Value> filter_xmlattr(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("xmlattr", {"d", "autospace"}, 1, std::move(args)));
  if (p.at(0).is(Kind::kUndefined)) return undefined_error(p.at(0));
  if (!p.at(0).is(Kind::kDict)) return render_error("xmlattr wants a mapping");
  std::string out;
  for (const auto& [key, value] : p.at(0).dict().entries()) {
    if (value.is(Kind::kNone) || value.is(Kind::kUndefined)) continue;
    if (!key.is(Kind::kString)) return render_error("xmlattr wants strings for keys");
    if (key.str().find_first_of(" \t\n\r\f\v/>=") != std::string::npos) {
      return render_error("Invalid character in attribute name: " + quote(key.str()));
    }
    BUNDLE_TRY(const std::string text, to_str(rt, value));
    const bool safe = value.is(Kind::kString) && value.text().markup;
    out += (out.empty() ? "" : " ") + escape_html(key.str()) + "=\"" +
           (safe ? text : escape_html(text)) + "\"";
    BUNDLE_CHECK(rt.check_size(out.size()));
  }
  if (!out.empty() && (!p.has(1) || p.flag(1))) out.insert(0, 1, ' ');
  return rt.text(std::move(out));
}

Status read_indent(Runtime& rt, const Parameters& p, JsonStyle& style) {
  if (!p.is_set(2)) return {};
  style.item_separator = ",";
  if (p.at(2).is(Kind::kString)) {
    style.indent = p.at(2).str();
    return {};
  }
  BUNDLE_TRY(const Int width, p.integer(2, 0));
  BUNDLE_CHECK(
      rt.check_size(width < 0 ? 0 : static_cast<std::uint64_t>(std::min(width, Int{1} << 40))));
  style.indent = std::string(width < 0 ? 0 : static_cast<std::size_t>(width), ' ');
  return {};
}

Result<Value> filter_tojson(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p,
             Parameters::bind("tojson", {"x", "ensure_ascii", "indent", "separators", "sort_keys"},
                              1, std::move(args)));
  JsonStyle style;
  style.ensure_ascii = p.flag(1);
  style.sort_keys = p.flag(4);
  BUNDLE_CHECK(read_indent(rt, p, style));
  if (p.is_set(3)) {
    BUNDLE_TRY(const auto parts, to_items(rt, p.at(3)));
    if (parts.size() != 2 || !parts[0].is(Kind::kString) || !parts[1].is(Kind::kString)) {
      return render_error("separators wants two strings");
    }
    style.item_separator = parts[0].str();
    style.key_separator = parts[1].str();
  }
  BUNDLE_TRY(std::string text, dump_json(rt, p.at(0), style));
  return rt.text(std::move(text));
}

Result<Value> filter_pprint(Runtime& rt, Arguments args) {
  BUNDLE_TRY(const auto p, Parameters::bind("pprint", {"value"}, 1, std::move(args)));
  BUNDLE_TRY(std::string text, to_repr(rt, p.at(0)));
  return rt.text(std::move(text));
}

Result<Value> filter_urlize(Runtime&, Arguments) {
  return render_error("the filter 'urlize' is not offered: a prompt is no HTML");
}

}  // namespace

BuiltinFunction find_text_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, BuiltinFunction> kFilters = {
      {"upper", filter_upper},
      {"lower", filter_lower},
      {"capitalize", filter_capitalize},
      {"center", filter_center},
      {"trim", filter_trim},
      {"title", filter_title},
      {"string", filter_string},
      {"replace", filter_replace},
      {"format", filter_format},
      {"indent", filter_indent},
      {"truncate", filter_truncate},
      {"wordwrap", filter_wordwrap},
      {"wordcount", filter_wordcount},
      {"e", filter_escape},
      {"escape", filter_escape},
      {"forceescape", filter_force_escape},
      {"safe", filter_safe},
      {"striptags", filter_striptags},
      {"urlencode", filter_urlencode},
      {"xmlattr", filter_xmlattr},
      {"tojson", filter_tojson},
      {"pprint", filter_pprint},
      {"urlize", filter_urlize}};
  const auto at = kFilters.find(name);
  return at == kFilters.end() ? nullptr : at->second;
}

}  // namespace bundle::chat
