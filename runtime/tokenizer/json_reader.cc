#include "runtime/tokenizer/json_reader.h"

#include <charconv>

#include "base/text.h"
#include "runtime/tokenizer/unicode.h"

namespace bundle::tokenizer {
namespace {

bool is_number_start(char c) { return c == '-' || (c >= '0' && c <= '9'); }

struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Reads one value and remembers where it stands.
bool read_span(JsonReader& reader, Span& span) {
  (void)reader.peek();
  span.begin = reader.offset();
  const bool whole = reader.skip_value();
  span.end = reader.offset();
  return whole;
}

std::string_view text_of(std::string_view text, const Span& span) {
  return text.substr(span.begin, span.end - span.begin);
}

}  // namespace

char JsonReader::peek() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return c;
    ++at_;
  }
  return '\0';
}

bool JsonReader::done() {
  (void)peek();
  return at_ == text_.size();
}

bool JsonReader::take(char wanted) {
  if (peek() != wanted || at_ == text_.size()) return false;
  ++at_;
  return true;
}

bool JsonReader::read_string(std::string& value) {
  value.clear();
  if (!take('"')) return false;
  bool ascii = true;
  while (at_ < text_.size()) {
    const char c = text_[at_++];
    if (c == '"') return ascii || is_valid_utf8(value);
    if (static_cast<unsigned char>(c) < 0x20) return false;
    if (c == '\\') {
      if (!read_escape(value)) return false;
    } else {
      ascii = ascii && (c & 0x80) == 0;
      value.push_back(c);
    }
  }
  return false;
}

bool JsonReader::read_escape(std::string& value) {
  if (at_ == text_.size()) return false;
  const char c = text_[at_++];
  constexpr std::string_view kShort = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  if (const std::size_t index = kShort.find(c); index != std::string_view::npos) {
    value.push_back(kMeanings[index]);
    return true;
  }
  char32_t unit = 0;
  if (c != 'u' || !read_hex(unit)) return false;
  if (unit >= 0xdc00 && unit < 0xe000) return false;
  if (unit >= 0xd800 && unit < 0xdc00) {
    char32_t low = 0;
    if (text_.substr(at_, 2) != "\\u") return false;
    at_ += 2;
    if (!read_hex(low) || low < 0xdc00 || low >= 0xe000) return false;
    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(value, unit);
  return true;
}

bool JsonReader::read_hex(char32_t& unit) {
  const std::string_view digits = text_.substr(at_, 4);
  std::uint32_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, 16);
  if (digits.size() != 4 || error != std::errc() || stop != end) return false;
  unit = value;
  at_ += 4;
  return true;
}

bool JsonReader::read_integer(std::int64_t& value) {
  if (!is_number_start(peek())) return false;
  const char* end = text_.data() + text_.size();
  const auto [stop, error] = std::from_chars(text_.data() + at_, end, value);
  if (error != std::errc()) return false;
  at_ = static_cast<std::size_t>(stop - text_.data());
  return true;
}

bool JsonReader::read_double(double& value) {
  if (!is_number_start(peek())) return false;
  if (text_.substr(at_, 2) == "-i" || text_.substr(at_, 2) == "-n") return false;
  const char* end = text_.data() + text_.size();
  const auto [stop, error] = std::from_chars(text_.data() + at_, end, value);
  if (error != std::errc()) return false;
  at_ = static_cast<std::size_t>(stop - text_.data());
  return true;
}

bool JsonReader::skip_string() {
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '"') {
      ++at_;
      return true;
    }
    if (text_[at_] == '\\') ++at_;
  }
  at_ = text_.size();
  return false;
}

bool JsonReader::skip_value() {
  std::size_t depth = 0;
  do {
    const char c = peek();
    if (at_ == text_.size()) return false;
    if (c == '"') {
      if (!skip_string()) return false;
      continue;
    }
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') {
      if (depth == 0) return false;
      --depth;
    }
    ++at_;
    const bool bare = depth == 0 && c != ']' && c != '}';
    while (bare && at_ < text_.size() &&
           std::string_view(",:]} \t\r\n").find(text_[at_]) == std::string_view::npos) {
      ++at_;
    }
  } while (depth > 0);
  return true;
}

JsonTables cut_tables(std::string_view text) {
  Span vocab;
  Span merges;
  JsonReader reader(text);
  const auto read_model = [&](const std::string& key) {
    if (key == "vocab") return read_span(reader, vocab);
    if (key == "merges") return read_span(reader, merges);
    return reader.skip_value();
  };
  const bool whole = reader.read_object([&](const std::string& key) {
    if (key == "vocab") return read_span(reader, vocab);
    if (key == "model" && reader.peek() == '{') return reader.read_object(read_model);
    return reader.skip_value();
  });
  if (!whole || !reader.done()) return {{}, {}, std::string(text)};
  JsonTables tables{text_of(text, vocab), text_of(text, merges), {}};
  const Span first = vocab.begin <= merges.begin ? vocab : merges;
  const Span second = vocab.begin <= merges.begin ? merges : vocab;
  std::size_t done = 0;
  for (const Span& span : {first, second}) {
    if (span.end == 0) continue;
    tables.rest.append(text, done, span.begin - done).append("null");
    done = span.end;
  }
  tables.rest.append(text, done);
  return tables;
}

}  // namespace bundle::tokenizer
