#include "runtime/chat/repr.h"

#include <cstdio>

#include "runtime/chat/number.h"
#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

void append_escaped(std::string& out, char32_t c) {
  char buffer[16];
  const char* format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
  std::snprintf(buffer, sizeof buffer, format, static_cast<unsigned>(c));
  out += buffer;
}

void append_quoted(std::string& out, char32_t c, char delimiter) {
  switch (c) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (c == '\\' || c == static_cast<char32_t>(delimiter)) {
    out += '\\';
    out += static_cast<char>(c);
  } else if (is_printable(c)) {
    append_utf8(out, c);
  } else {
    append_escaped(out, c);
  }
}

/// Appends to one text, and stops when it grows too large.
class Printer {
 public:
  explicit Printer(Runtime& rt) : rt_(rt) {}

  Status print(const Value& value) {
    BUNDLE_CHECK(rt_.spend(1));
    BUNDLE_CHECK(rt_.check_size(out_.size()));
    switch (value.kind()) {
      case Kind::kList:
        return print_items(value, '[', ']');
      case Kind::kTuple:
        return print_items(value, '(', ')');
      case Kind::kDict:
        return print_dict(value.dict());
      case Kind::kObject: {
        // Counts as a call: each level of printing an object takes several native frames.
        const Runtime::Level level(rt_.calls);
        if (rt_.too_deep()) return render_error("values nest too deep to be printed");
        BUNDLE_TRY(const std::string text, value.object()->repr(rt_));
        out_ += text;
        return {};
      }
      default:
        return print_scalar(value);
    }
  }

  std::string take() { return std::move(out_); }

 private:
  Status print_scalar(const Value& value) {
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "None";
        break;
      case Kind::kBool:
        out_ += value.boolean() ? "True" : "False";
        break;
      case Kind::kInt:
        out_ += print_int(value.integral());
        break;
      case Kind::kFloat:
        out_ += print_float(value.real());
        break;
      case Kind::kString:
        BUNDLE_CHECK(rt_.work(value.str().size()));
        out_ += value.text().markup ? "Markup(" + quote(value.str()) + ")" : quote(value.str());
        break;
      default:
        out_ += "Undefined";
        break;
    }
    return {};
  }

  Status print_items(const Value& value, char open, char close) {
    out_ += open;
    bool first = true;
    for (const Value& item : value.items()) {
      if (!first) out_ += ", ";
      first = false;
      BUNDLE_CHECK(print(item));
    }
    if (value.is(Kind::kTuple) && value.items().size() == 1) out_ += ',';
    out_ += close;
    return {};
  }

  Status print_dict(const Dict& dict) {
    out_ += '{';
    bool first = true;
    for (const auto& entry : dict.entries()) {
      if (!first) out_ += ", ";
      first = false;
      BUNDLE_CHECK(print(entry.key));
      out_ += ": ";
      BUNDLE_CHECK(print(entry.value));
    }
    out_ += '}';
    return {};
  }

  Runtime& rt_;
  std::string out_;
};

}  // namespace

std::string quote(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char delimiter = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, delimiter);
  for (std::size_t at = 0; at < text.size();) {
    append_quoted(out, next_code_point(text, at), delimiter);
  }
  return out + delimiter;
}

Result<std::string> to_repr(Runtime& rt, const Value& value) {
  Printer printer(rt);
  BUNDLE_CHECK(printer.print(value));
  return printer.take();
}

Result<std::string> to_str(Runtime& rt, const Value& value) {
  if (value.is(Kind::kString)) return value.str();
  if (value.is(Kind::kUndefined)) return std::string();
  return to_repr(rt, value);
}

Result<Value> to_text(Runtime& rt, const Value& value) {
  if (value.is(Kind::kString) && !value.text().markup) return value;
  BUNDLE_TRY(std::string text, to_str(rt, value));
  return rt.text(std::move(text));
}

}  // namespace bundle::chat
