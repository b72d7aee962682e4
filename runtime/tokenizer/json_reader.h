// A forward reader of JSON text for the long tables in tokenizer files.
//
// A vocabulary is most of such a file. Reading it in place takes a tenth of the time that a tree of
// values takes, and gives every number to the last bit. The rest of a file goes through
// base/json.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bundle::tokenizer {

/// Every function skips white space first, and returns false, having moved anywhere, when the text
/// does not go on as asked. Not thread-safe.
class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  std::size_t offset() const { return at_; }
  /// Whether nothing but white space is left.
  bool done();
  /// The next character, without taking it; 0 at the end.
  char peek();
  bool take(char wanted);
  /// A string; it is valid UTF-8. Lone surrogates are refused.
  bool read_string(std::string& value);
  bool read_integer(std::int64_t& value);
  bool read_double(double& value);
  /// Any value, of which only the strings and brackets are looked at.
  bool skip_value();

  /// Calls `read()` for each member of a list; it must read one value.
  template <typename Read>
  bool read_list(Read read) {
    if (!take('[')) return false;
    if (take(']')) return true;
    do {
      if (!read()) return false;
    } while (take(','));
    return take(']');
  }

  /// Calls `read(key)` for each member of an object; it must read the value.
  template <typename Read>
  bool read_object(Read read) {
    if (!take('{')) return false;
    if (take('}')) return true;
    std::string key;
    do {
      if (!read_string(key) || !take(':') || !read(key)) return false;
    } while (take(','));
    return take('}');
  }

 private:
  bool skip_string();
  bool read_escape(std::string& value);
  bool read_hex(char32_t& unit);

  std::string_view text_;
  std::size_t at_ = 0;
};

/// The tables of a document, as text inside it, and the document with null in their place.
struct JsonTables {
  std::string_view vocab;  // of tokenizer.json's model, or tekken.json's own; "" when there is none
  std::string_view merges;  // of the model
  std::string rest;
};

/// None of the tables is looked into. Text that is no JSON comes out as `rest`, whole, for the
/// parser to say what is wrong.
JsonTables cut_tables(std::string_view text);

}  // namespace bundle::tokenizer
