#include "runtime/chat/json_dump.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "runtime/chat/number.h"
#include "runtime/chat/operators.h"
#include "runtime/chat/sorting.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

void append_unit(std::string& out, unsigned unit) {
  char buffer[8];
  std::snprintf(buffer, sizeof buffer, "\\u%04x", unit);
  out += buffer;
}

void append_ascii(std::string& out, char32_t c) {
  if (c < 0x10000) {
    append_unit(out, static_cast<unsigned>(c));
    return;
  }
  append_unit(out, static_cast<unsigned>(0xd800 + ((c - 0x10000) >> 10)));
  append_unit(out, static_cast<unsigned>(0xdc00 + ((c - 0x10000) & 0x3ff)));
}

/// The letter of a short escape, or 0.
char short_escape(char32_t c) {
  switch (c) {
    case '"':
    case '\\':
      return static_cast<char>(c);
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    case '\f':
      return 'f';
    case '\b':
      return 'b';
    default:
      return 0;
  }
}

void append_string(std::string& out, std::string_view text, bool ensure_ascii) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    const char32_t c = next_code_point(text, at);
    if (const char escape = short_escape(c); escape != 0) {
      out += '\\';
      out += escape;
    } else if (c < 0x20 || (ensure_ascii && c > 0x7e)) {
      append_ascii(out, c);
    } else {
      out += text.substr(start, at - start);
    }
  }
  out += '"';
}

std::string print_json_float(double d) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
  return print_float(d);
}

/// None, a bool or a number as JSON writes it; nothing for other values.
std::optional<std::string> print_simple(const Value& value) {
  switch (value.kind()) {
    case Kind::kNone:
      return "null";
    case Kind::kBool:
      return value.boolean() ? "true" : "false";
    case Kind::kInt:
      return print_int(value.integral());
    case Kind::kFloat:
      return print_json_float(value.real());
    default:
      return {};
  }
}

class Dumper {
 public:
  Dumper(Runtime& rt, const JsonStyle& style) : rt_(rt), style_(style) {}

  Status dump(const Value& value, int depth) {
    BUNDLE_CHECK(rt_.spend(1));
    BUNDLE_CHECK(rt_.check_size(out_.size()));
    if (const auto simple = print_simple(value)) {
      out_ += *simple;
      return {};
    }
    if (value.is(Kind::kString)) {
      BUNDLE_CHECK(rt_.work(value.str().size()));
      append_string(out_, value.str(), style_.ensure_ascii);
      return {};
    }
    if (value.is_sequence()) return dump_items(value.items(), depth);
    if (value.is(Kind::kDict)) return dump_dict(value.dict(), depth);
    return render_error("Object of type " + std::string(type_name(value)) +
                        " is not JSON serializable");
  }

  std::string take() { return std::move(out_); }

 private:
  void new_line(int depth) {
    if (!style_.indent) return;
    out_ += '\n';
    for (int i = 0; i < depth; ++i) out_ += *style_.indent;
  }

  Status dump_items(const std::vector<Value>& items, int depth) {
    out_ += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i != 0) out_ += style_.item_separator;
      new_line(depth + 1);
      BUNDLE_CHECK(dump(items[i], depth + 1));
    }
    if (!items.empty()) new_line(depth);
    out_ += ']';
    return {};
  }

  Status dump_key(const Value& key) {
    if (key.is(Kind::kString)) {
      append_string(out_, key.str(), style_.ensure_ascii);
      return {};
    }
    const auto simple = print_simple(key);
    if (!simple) {
      return render_error("keys must be str, int, float, bool or None, not " +
                          std::string(type_name(key)));
    }
    append_string(out_, *simple, false);
    return {};
  }

  Status dump_dict(const Dict& dict, int depth) {
    std::vector<Dict::Entry> sorted;
    if (style_.sort_keys) {
      sorted = dict.entries();
      BUNDLE_CHECK(sort_by(rt_, sorted, false, [](const Dict::Entry& e) { return e.key; }));
    }
    const auto& entries = style_.sort_keys ? sorted : dict.entries();
    out_ += '{';
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i != 0) out_ += style_.item_separator;
      new_line(depth + 1);
      BUNDLE_CHECK(dump_key(entries[i].key));
      out_ += style_.key_separator;
      BUNDLE_CHECK(dump(entries[i].value, depth + 1));
    }
    if (!entries.empty()) new_line(depth);
    out_ += '}';
    return {};
  }

  Runtime& rt_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

Result<std::string> dump_json(Runtime& rt, const Value& value, const JsonStyle& style) {
  Dumper dumper(rt, style);
  BUNDLE_CHECK(dumper.dump(value, 0));
  return dumper.take();
}

}  // namespace bundle::chat
