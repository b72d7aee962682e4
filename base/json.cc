#include "base/json.h"

#include <charconv>
#include <cmath>
#include <set>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_stack.hpp>

#include "base/file.h"

namespace bundle {
namespace {

namespace bj = boost::json;

/// Feeds a value_stack, and refuses a key that comes twice in one object.
class Handler {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = 1 << 20;
  static constexpr std::size_t max_string_size = 1 << 30;

  bj::value_stack stack;
  std::string duplicate;

  bool on_document_begin(bj::error_code&) {
    stack.reset();
    return true;
  }
  bool on_document_end(bj::error_code&) { return true; }
  bool on_object_begin(bj::error_code&) {
    keys_.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t n, bj::error_code&) {
    keys_.pop_back();
    stack.push_object(n);
    return true;
  }
  bool on_array_begin(bj::error_code&) { return true; }
  bool on_array_end(std::size_t n, bj::error_code&) {
    stack.push_array(n);
    return true;
  }
  bool on_key_part(bj::string_view part, std::size_t, bj::error_code&) {
    key_.append(part.data(), part.size());
    stack.push_chars(part);
    return true;
  }
  bool on_key(bj::string_view part, std::size_t, bj::error_code& error) {
    key_.append(part.data(), part.size());
    stack.push_key(part);
    if (!keys_.back().insert(key_).second) {
      duplicate = key_;
      error = bj::error::exception;
      return false;
    }
    key_.clear();
    return true;
  }
  bool on_string_part(bj::string_view part, std::size_t, bj::error_code&) {
    stack.push_chars(part);
    return true;
  }
  bool on_string(bj::string_view part, std::size_t, bj::error_code&) {
    stack.push_string(part);
    return true;
  }
  bool on_number_part(bj::string_view, bj::error_code&) { return true; }
  bool on_int64(std::int64_t n, bj::string_view, bj::error_code&) {
    stack.push_int64(n);
    return true;
  }
  bool on_uint64(std::uint64_t n, bj::string_view, bj::error_code&) {
    stack.push_uint64(n);
    return true;
  }
  bool on_double(double n, bj::string_view, bj::error_code&) {
    stack.push_double(n);
    return true;
  }
  bool on_bool(bool b, bj::error_code&) {
    stack.push_bool(b);
    return true;
  }
  bool on_null(bj::error_code&) {
    stack.push_null();
    return true;
  }
  bool on_comment_part(bj::string_view, bj::error_code&) { return true; }
  bool on_comment(bj::string_view, bj::error_code&) { return true; }

 private:
  std::vector<std::set<std::string>> keys_;
  std::string key_;
};

std::string position(std::string_view text, std::size_t at, std::string_view where) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t i = 0; i < at && i < text.size(); ++i) {
    column = text[i] == '\n' ? 1 : column + 1;
    line += text[i] == '\n';
  }
  return std::string(where) + " line " + std::to_string(line) + " column " + std::to_string(column);
}

Error wrong_type(std::string_view key, const char* wanted, std::string_view where) {
  return bad_input("'" + std::string(key) + "' is not " + wanted, std::string(where));
}

void indent(std::string& out, int depth) { out.append(static_cast<std::size_t>(depth) * 2, ' '); }

/// The shortest decimal that reads back as the same double, always with a point or an exponent, as
/// Python prints it. JSON has no infinity and no NaN: they become null.
void append_double(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += "null";
    return;
  }
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  const std::string_view digits(text, static_cast<std::size_t>(end - text));
  out += digits;
  if (digits.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void append_scalar(std::string& out, const Json& value) {
  if (const double* number = value.if_double()) {
    append_double(out, *number);
  } else {
    out += bj::serialize(value);
  }
}

/// `depth` counts levels of indentation; negative: everything on one line.
void append(std::string& out, const Json& value, int depth);

/// What stands before an item, or before the closing bracket.
void append_break(std::string& out, int depth) {
  if (depth < 0) return;
  out += '\n';
  indent(out, depth);
}

void append_object(std::string& out, const JsonObject& object, int depth) {
  const int inside = depth < 0 ? depth : depth + 1;
  out += '{';
  bool first = true;
  for (const auto& [key, member] : object) {
    if (!first) out += ',';
    first = false;
    append_break(out, inside);
    out += bj::serialize(Json(key));
    out += depth < 0 ? ":" : ": ";
    append(out, member, inside);
  }
  append_break(out, depth);
  out += '}';
}

void append_array(std::string& out, const JsonArray& array, int depth) {
  const int inside = depth < 0 ? depth : depth + 1;
  out += '[';
  bool first = true;
  for (const Json& member : array) {
    if (!first) out += ',';
    first = false;
    append_break(out, inside);
    append(out, member, inside);
  }
  append_break(out, depth);
  out += ']';
}

void append(std::string& out, const Json& value, int depth) {
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    append_object(out, *object, depth);
  } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
    append_array(out, *array, depth);
  } else {
    append_scalar(out, value);
  }
}

/// The member, or null when it is absent or JSON null.
const Json* present(const Json& value, std::string_view key) {
  const Json* member = find(value, key);
  return member == nullptr || member->is_null() ? nullptr : member;
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view where) {
  bj::parse_options options;
  options.max_depth = 64;
  bj::basic_parser<Handler> parser(options);
  bj::error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  Handler& handler = parser.handler();
  if (!handler.duplicate.empty() || error == bj::error::exception) {
    return bad_input("the key '" + handler.duplicate + "' comes twice in one object",
                     position(text, used, where));
  }
  if (!error && used < text.size()) error = bj::error::extra_data;
  if (error) return bad_input("not valid JSON: " + error.message(), position(text, used, where));
  return handler.stack.release();
}

Result<Json> read_json_file(const std::string& path, std::uint64_t cap) {
  BUNDLE_TRY(const std::string text, read_file(path, cap));
  return parse_json(text, path);
}

std::string print_json(const Json& value) {
  std::string out;
  append(out, value, -1);
  return out;
}

std::string pretty_json(const Json& value) {
  std::string out;
  append(out, value, 0);
  return out + '\n';
}

const Json* find(const Json& value, std::string_view key) {
  const JsonObject* object = value.if_object();
  return object == nullptr ? nullptr : object->if_contains(key);
}

Result<std::int64_t> get_int(const Json& value, std::string_view key, std::string_view where) {
  const Json* member = present(value, key);
  if (member == nullptr)
    return bad_input("'" + std::string(key) + "' is missing", std::string(where));
  if (const auto* n = member->if_int64()) return *n;
  if (const auto* d = member->if_double();
      d != nullptr && *d == std::floor(*d) && std::abs(*d) < 9e15) {
    return static_cast<std::int64_t>(*d);
  }
  return wrong_type(key, "a whole number", where);
}

Result<std::int64_t> get_int_or(const Json& value, std::string_view key, std::int64_t fallback,
                                std::string_view where) {
  if (present(value, key) == nullptr) return fallback;
  return get_int(value, key, where);
}

Result<double> get_double_or(const Json& value, std::string_view key, double fallback,
                             std::string_view where) {
  const Json* member = present(value, key);
  if (member == nullptr) return fallback;
  if (!member->is_number()) return wrong_type(key, "a number", where);
  return member->to_number<double>();
}

Result<bool> get_bool_or(const Json& value, std::string_view key, bool fallback,
                         std::string_view where) {
  const Json* member = present(value, key);
  if (member == nullptr) return fallback;
  if (!member->is_bool()) return wrong_type(key, "true or false", where);
  return member->get_bool();
}

Result<std::string> get_string(const Json& value, std::string_view key, std::string_view where) {
  const Json* member = present(value, key);
  if (member == nullptr)
    return bad_input("'" + std::string(key) + "' is missing", std::string(where));
  if (!member->is_string()) return wrong_type(key, "a string", where);
  return std::string(member->get_string());
}

Result<std::string> get_string_or(const Json& value, std::string_view key, std::string fallback,
                                  std::string_view where) {
  if (present(value, key) == nullptr) return fallback;
  return get_string(value, key, where);
}

}  // namespace bundle
