#include "templates/render.h"

#include <functional>
#include <memory>
#include <optional>

#include "base/text.h"
#include "templates/embedded.h"
#include "templates/quote.h"

namespace bundle::templates {
namespace {

enum class Language { kYaml, kJson, kShell, kSystemd };

Result<Language> language_of(std::string_view name) {
  const std::string_view extension = name.substr(std::min(name.rfind('.'), name.size()));
  if (extension == ".yaml") return Language::kYaml;
  if (extension == ".json") return Language::kJson;
  if (extension == ".sh") return Language::kShell;
  for (const char* unit : {".service", ".socket", ".container", ".volume"}) {
    if (extension == unit) return Language::kSystemd;
  }
  return failed("no language is known for the template", std::string(name));
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

bool is_true(const Json& value) {
  if (value.is_bool()) return value.get_bool();
  if (value.is_string()) return !value.get_string().empty();
  if (value.is_array()) return !value.get_array().empty();
  if (value.is_object()) return !value.get_object().empty();
  if (value.is_int64()) return value.get_int64() != 0;
  if (value.is_uint64()) return value.get_uint64() != 0;
  return value.is_double() && value.get_double() != 0;
}

std::string plain_text(const Json& value) {
  return value.is_string() ? std::string(value.get_string()) : print_json(value);
}

// ---- one place in a line -------------------------------------------------------------------

/// What stands before and after a mark on its line, as the template has it.
struct Place {
  std::string_view before;
  std::string_view after;

  std::size_t indent() const { return std::min(before.find_first_not_of(' '), before.size()); }
};

/// Terraform reads templates in JSON strings too: "${" and "%{" are doubled to stay as they are.
Json without_interpolation(const Json& value) {
  if (value.is_object()) {
    JsonObject object;
    for (const auto& [key, member] : value.get_object()) {
      object[without_interpolation(Json(key)).get_string()] = without_interpolation(member);
    }
    return object;
  }
  if (value.is_array()) {
    JsonArray array;
    for (const Json& item : value.get_array()) array.push_back(without_interpolation(item));
    return array;
  }
  if (!value.is_string()) return value;
  std::string text;
  const std::string_view from(value.get_string());
  for (std::size_t i = 0; i < from.size(); ++i) {
    const bool opens = (from[i] == '$' || from[i] == '%') && from.substr(i + 1).starts_with('{');
    text.append(opens ? 2 : 1, from[i]);
  }
  return Json(text);
}

Result<std::string> json_value(const Json& value, const Place& place) {
  const std::string_view left = trimmed(place.before);
  const std::string_view right = trimmed(place.after);
  const bool begins = left.ends_with(':') || left.ends_with('[') || left.ends_with(',');
  const bool ends =
      right.empty() || right.starts_with(',') || right.starts_with(']') || right.starts_with('}');
  if (!begins || !ends) return failed("a JSON value must stand alone");
  return print_json(without_interpolation(value));
}

/// In YAML a value must be a whole scalar: something joined to it would change what quotes mean.
Result<std::string> yaml_value(const Json& value, const Place& place) {
  const std::string_view left = trimmed(place.before);
  const std::string_view right = trimmed(place.after);
  const bool begins = left.empty() || left.ends_with(':') || left.ends_with('-') ||
                      left.ends_with('[') || left.ends_with('{') || left.ends_with(',');
  const bool ends = right.empty() || right.starts_with(':') || right.starts_with(',') ||
                    right.starts_with(']') || right.starts_with('}');
  if (!begins || !ends) return failed("a YAML value must stand alone");
  const bool nested = (value.is_object() && !value.get_object().empty()) ||
                      (value.is_array() && !value.get_array().empty());
  if (!nested) return yaml_scalar(value);
  if (!right.empty()) return failed("a map or list must end its line");
  std::string block = yaml_block(value, place.indent() + 2);
  block.pop_back();
  return '\n' + block;
}

/// Quotes of the template itself around the place would be ended by the value's own.
bool inside_quotes(std::string_view before) {
  bool inside_single = false;
  bool inside_double = false;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i] == '\\' && !inside_single) {
      ++i;
    } else if (before[i] == '\'' && !inside_double) {
      inside_single = !inside_single;
    } else if (before[i] == '"' && !inside_single) {
      inside_double = !inside_double;
    }
  }
  return inside_single || inside_double;
}

Result<std::string> joined(const Json& value,
                           const std::function<Result<std::string>(std::string_view)>& word) {
  if (!value.is_array()) return word(plain_text(value));
  std::string all;
  for (const Json& item : value.get_array()) {
    BUNDLE_TRY(const std::string one, word(plain_text(item)));
    all += (all.empty() ? "" : " ") + one;
  }
  return all;
}

Result<std::string> shell_value(const Json& value, const Place& place) {
  // Comments, and #SBATCH lines, end with their line and know other quotes than the shell's.
  const bool comment = trimmed(place.before).starts_with('#');
  if (comment) return joined(value, [](std::string_view text) { return bare_word(text); });
  if (inside_quotes(place.before)) return failed("a shell value must not stand in quotes");
  return joined(value, [](std::string_view text) -> Result<std::string> {
    if (text.find('\0') != std::string_view::npos) {
      return bad_input("a value holds a zero byte, which no process can be given");
    }
    return shell_word(text);
  });
}

Result<std::string> systemd_value(const Json& value, const Place& place) {
  if (inside_quotes(place.before)) return failed("a unit's value must not stand in quotes");
  const std::string_view directive = place.before.substr(0, place.before.find('='));
  if (directive.starts_with("Exec")) return joined(value, systemd_exec_word);
  if (directive == "Environment") return joined(value, systemd_word);
  return joined(value, [](std::string_view text) { return bare_word(text, true); });
}

// ---- the template's lines ------------------------------------------------------------------

/// Names that for-loops add to the values of the caller.
struct Scope {
  const JsonObject* values;
  const Scope* outer = nullptr;
  std::string_view name = {};
  const Json* item = nullptr;

  const Json* find_name(std::string_view wanted) const {
    if (item != nullptr && wanted == name) return item;
    return outer != nullptr ? outer->find_name(wanted) : values->if_contains(wanted);
  }

  const Json* lookup(std::string_view path) const {
    const Json* value = find_name(path.substr(0, path.find('.')));
    for (std::size_t dot = path.find('.'); value != nullptr && dot != std::string_view::npos;) {
      path.remove_prefix(dot + 1);
      dot = path.find('.');
      value = find(*value, path.substr(0, dot));
    }
    return value;
  }
};

class Renderer {
 public:
  Renderer(std::string_view name, Language language) : name_(name), language_(language) {}

  Result<std::string> run(std::string_view text, const Scope& scope) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      lines_.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    BUNDLE_CHECK(block(0, lines_.size(), scope));
    return std::move(out_);
  }

 private:
  Error fault(std::size_t line, Error error) const {
    error.where = "template " + std::string(name_) + ", line " + std::to_string(line + 1);
    return error;
  }

  /// The inside of a line "{% … %}", or none.
  static std::optional<std::string_view> directive(std::string_view line) {
    const std::string_view text = trimmed(line);
    if (!text.starts_with("{%") || !text.ends_with("%}")) return std::nullopt;
    return trimmed(text.substr(2, text.size() - 4));
  }

  static bool opens(std::string_view directive) {
    return directive.starts_with("if ") || directive.starts_with("for ");
  }

  /// The line of the {% else %} (or `end` when there is none) and of the {% end %} of a block.
  Result<std::pair<std::size_t, std::size_t>> find_end(std::size_t start, std::size_t end) const {
    std::size_t otherwise = end;
    int depth = 0;
    for (std::size_t i = start + 1; i < end; ++i) {
      const auto mark = directive(lines_[i]);
      if (!mark) continue;
      if (opens(*mark)) ++depth;
      if (*mark == "else" && depth == 0) otherwise = i;
      if (*mark == "end" && depth-- == 0) return std::pair(otherwise == end ? i : otherwise, i);
    }
    return fault(start, failed("the block has no {% end %}"));
  }

  Status block(std::size_t start, std::size_t end, const Scope& scope) {
    for (std::size_t i = start; i < end; ++i) {
      const auto mark = directive(lines_[i]);
      if (!mark) {
        BUNDLE_CHECK(plain_line(i, scope));
      } else if (mark->starts_with("include ")) {
        BUNDLE_CHECK(include(i, trimmed(mark->substr(8)), scope));
      } else if (!opens(*mark)) {
        return fault(i, failed("the mark {% " + std::string(*mark) + " %} means nothing here"));
      } else {
        BUNDLE_TRY(const auto ends, find_end(i, end));
        const auto [otherwise, last] = ends;
        BUNDLE_CHECK(mark->starts_with("if ")
                         ? condition(i, otherwise, last, trimmed(mark->substr(3)), scope)
                         : loop(i, last, *mark, scope));
        i = last;
      }
    }
    return {};
  }

  Status condition(std::size_t start, std::size_t otherwise, std::size_t end, std::string_view path,
                   const Scope& scope) {
    const bool negated = path.starts_with("not ");
    const Json* value = scope.lookup(negated ? trimmed(path.substr(4)) : path);
    const bool taken = (value != nullptr && is_true(*value)) != negated;
    if (taken) return block(start + 1, otherwise, scope);
    return otherwise == end ? Status() : block(otherwise + 1, end, scope);
  }

  Status loop(std::size_t start, std::size_t end, std::string_view mark, const Scope& scope) {
    const std::size_t in = mark.find(" in ");
    if (in == std::string_view::npos) return fault(start, failed("a loop is 'for NAME in PATH'"));
    const Json* list = scope.lookup(trimmed(mark.substr(in + 4)));
    if (list == nullptr || !list->is_array()) return fault(start, failed("there is no such list"));
    for (const Json& item : list->get_array()) {
      const Scope inner{scope.values, &scope, trimmed(mark.substr(4, in - 4)), &item};
      BUNDLE_CHECK(block(start + 1, end, inner));
    }
    return {};
  }

  Status include(std::size_t line, std::string_view other, const Scope& scope) {
    const auto text = embedded_deploy_template(other);
    if (!text) return fault(line, failed("there is no template '" + std::string(other) + "'"));
    BUNDLE_TRY(const Language language, language_of(other));
    Renderer part(other, language);
    BUNDLE_TRY(const std::string rendered, part.run(*text, scope));
    const std::string indent(lines_[line].find_first_not_of(' '), ' ');
    for (std::size_t at = 0; at < rendered.size();) {
      const std::size_t end = std::min(rendered.find('\n', at), rendered.size());
      if (end > at) out_ += indent + rendered.substr(at, end - at);
      out_ += '\n';
      at = end + 1;
    }
    return {};
  }

  Status plain_line(std::size_t index, const Scope& scope) {
    const std::string_view line = lines_[index];
    for (std::size_t at = 0;;) {
      const std::size_t open = line.find("{{", at);
      out_ += line.substr(at, open == std::string_view::npos ? open : open - at);
      if (open == std::string_view::npos) break;
      const std::size_t close = line.find("}}", open);
      if (close == std::string_view::npos) return fault(index, failed("a {{ is never closed"));
      const std::string path(trimmed(line.substr(open + 2, close - open - 2)));
      const Json* value = scope.lookup(path);
      if (value == nullptr) return fault(index, failed("there is no value '" + path + "'"));
      auto text = quoted(*value, {line.substr(0, open), line.substr(close + 2)});
      if (!text) return fault(index, std::move(text).error());
      drop_blank_before_block(*text);
      out_ += *text;
      at = close + 2;
    }
    out_ += '\n';
    return {};
  }

  /// "key: " before a block becomes "key:".
  void drop_blank_before_block(std::string_view text) {
    if (text.starts_with('\n') && out_.ends_with(' ')) out_.pop_back();
  }

  Result<std::string> quoted(const Json& value, const Place& place) const {
    switch (language_) {
      case Language::kYaml:
        return yaml_value(value, place);
      case Language::kJson:
        return json_value(value, place);
      case Language::kShell:
        return shell_value(value, place);
      case Language::kSystemd:
        return systemd_value(value, place);
    }
    return failed("no such language");
  }

  std::string_view name_;
  Language language_;
  std::vector<std::string_view> lines_;
  std::string out_;
};

}  // namespace

Result<std::string> render_text(std::string_view name, std::string_view text,
                                const JsonObject& values) {
  BUNDLE_TRY(const Language language, language_of(name));
  return Renderer(name, language).run(text, Scope{&values});
}

Result<std::string> render(std::string_view name, const JsonObject& values) {
  const auto text = embedded_deploy_template(name);
  if (!text) {
    const std::string near = nearest(name, deploy_template_names());
    return not_found("there is no deploy template '" + std::string(name) + "'", "",
                     near.empty() ? "" : "Did you mean '" + near + "'?");
  }
  return render_text(name, *text, values);
}

}  // namespace bundle::templates
