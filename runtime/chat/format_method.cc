// str.format as the sandbox has it: attributes of fields are looked up by the template's rules.
#include <optional>

#include "runtime/chat/format_spec.h"
#include "runtime/chat/html.h"
#include "runtime/chat/lookup.h"
#include "runtime/chat/number.h"
#include "runtime/chat/repr.h"

namespace bundle::chat {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

class Formatter {
 public:
  Formatter(Runtime& rt, const Arguments& args, bool markup)
      : rt_(rt), args_(args), markup_(markup) {}

  Result<std::string> format(std::string_view text, int depth = 2) {
    if (depth == 0) return render_error("Max string recursion exceeded");
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      BUNDLE_CHECK(rt_.check_size(out.size()));
      const char c = text[at];
      const bool doubled = at + 1 < text.size() && text[at + 1] == c;
      if ((c == '{' || c == '}') && doubled) {
        out += c;
        at += 2;
      } else if (c == '}') {
        return render_error("Single '}' encountered in format string");
      } else if (c == '{') {
        BUNDLE_TRY(const std::string_view field, take_field(text, at));
        BUNDLE_TRY(const std::string formatted, format_field(field, depth));
        out += formatted;
      } else {
        out += c;
        ++at;
      }
    }
    return out;
  }

 private:
  /// The text between the brace at `at` and its partner; `at` moves behind.
  static Result<std::string_view> take_field(std::string_view text, std::size_t& at) {
    const std::size_t start = ++at;
    for (int open = 1; at < text.size(); ++at) {
      if (text[at] == '{') ++open;
      if (text[at] == '}' && --open == 0) return text.substr(start, at++ - start);
    }
    return render_error("expected '}' before end of string");
  }

  Result<std::string> format_field(std::string_view field, int depth) {
    BUNDLE_CHECK(rt_.spend(1));
    // A colon inside brackets belongs to the key.
    std::size_t end = 0;
    bool in_key = false;
    for (; end < field.size(); ++end) {
      if (field[end] == '[') in_key = true;
      if (field[end] == ']') in_key = false;
      if (!in_key && (field[end] == ':' || field[end] == '!')) break;
    }
    BUNDLE_TRY(Value value, find_value(field.substr(0, end)));
    std::string_view rest = field.substr(end);
    if (!rest.empty() && rest[0] == '!') {
      BUNDLE_CHECK(convert(value, rest.substr(1)));
      rest.remove_prefix(2);
    }
    if (rest.empty()) return finish(value, "");
    BUNDLE_TRY(const std::string spec, format(rest.substr(1), depth - 1));
    return finish(value, spec);
  }

  Result<std::string> finish(const Value& value, std::string_view spec) {
    BUNDLE_TRY(const std::string text, format_value(rt_, value, spec));
    const bool escape = markup_ && !(value.is(Kind::kString) && value.text().markup);
    return escape ? escape_html(text) : text;
  }

  Status convert(Value& value, std::string_view rest) {
    if (rest.empty() || (rest.size() > 1 && rest[1] != ':')) {
      return render_error("expected ':' after conversion specifier");
    }
    if (rest[0] != 's' && rest[0] != 'r' && rest[0] != 'a') {
      return render_error("Unknown conversion specifier");
    }
    BUNDLE_TRY(std::string text, rest[0] == 's' ? to_str(rt_, value) : to_repr(rt_, value));
    BUNDLE_TRY(value, rt_.text(std::move(text)));
    return {};
  }

  Result<Value> first_value(std::string_view name) {
    if (name.empty()) {
      if (numbering_ == Numbering::kManual) return mixed_numbering();
      numbering_ = Numbering::kAutomatic;
      return positional(next_++);
    }
    if (all_digits(name)) {
      if (numbering_ == Numbering::kAutomatic) return mixed_numbering();
      numbering_ = Numbering::kManual;
      const auto index = parse_int(name);
      if (!index || *index > 1000000) return render_error("Replacement index out of range");
      return positional(static_cast<std::size_t>(*index));
    }
    for (const auto& [key, value] : args_.named) {
      if (key == name) return value;
    }
    return render_error("format has no argument '" + std::string(name) + "'");
  }

  static Error mixed_numbering() {
    return render_error("cannot mix automatic and manual field numbering");
  }

  Result<Value> positional(std::size_t index) {
    if (index < args_.positional.size()) return args_.positional[index];
    return render_error("Replacement index " + std::to_string(index) +
                        " out of range for positional args tuple");
  }

  Result<Value> find_value(std::string_view path) {
    const std::size_t end = std::min(path.find_first_of(".["), path.size());
    BUNDLE_TRY(Value value, first_value(path.substr(0, end)));
    for (std::size_t at = end; at < path.size();) {
      if (path[at] == '.') {
        const std::size_t stop = std::min(path.find_first_of(".[", at + 1), path.size());
        BUNDLE_TRY(value, get_attribute(rt_, value, path.substr(at + 1, stop - at - 1)));
        at = stop;
      } else if (path[at] == '[') {
        const std::size_t stop = path.find(']', at);
        if (stop == std::string_view::npos) return render_error("Missing ']' in format string");
        const std::string_view key = path.substr(at + 1, stop - at - 1);
        const Value index =
            all_digits(key) ? Value(parse_int(key).value_or(0)) : Value::text(std::string(key));
        BUNDLE_TRY(value, get_item(rt_, value, index));
        at = stop + 1;
      } else {
        return render_error("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  enum class Numbering { kNone, kAutomatic, kManual };

  Runtime& rt_;
  const Arguments& args_;
  bool markup_;
  Numbering numbering_ = Numbering::kNone;
  std::size_t next_ = 0;
};

}  // namespace

Result<Value> format_method(Runtime& rt, const Value& format, const Arguments& args) {
  BUNDLE_CHECK(rt.work(format.str().size()));
  const bool markup = format.text().markup;
  Formatter formatter(rt, args, markup);
  BUNDLE_TRY(std::string out, formatter.format(format.str()));
  return rt.text(std::move(out), markup);
}

}  // namespace bundle::chat
