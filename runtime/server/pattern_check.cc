#include "runtime/server/pattern_check.h"

#include <cctype>
#include <charconv>
#include <cstdint>

namespace bundle::server {
namespace {

/// A character as the expression writes it.
struct Atom {
  std::uint32_t code = 0;
  bool many = false;  // a class of characters: \w
  bool wide = false;  // … that holds escaped ones, too: \W
  bool known = true;  // false: nothing that the compiler understands
};

bool is_escaped_in_json(std::uint32_t code) { return code < 0x20 || code == '"' || code == '\\'; }

/// Reads an expression once. Everything ends at the end of the text: the compiler itself finds what
/// is not well formed.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool fits() {
    while (at_ < text_.size() && fits_) read_element();
    // The compiler matches other alphabets without looking at what must be escaped.
    return fits_ && !(wide_ && foreign_);
  }

 private:
  void read_element() {
    const char c = text_[at_];
    if (c == '[') return read_class();
    if (c == '(') return read_group();
    if (c == '.') {
      wide_ = true;
      ++at_;
      return;
    }
    take(read_atom());
  }

  void take(const Atom& atom) {
    wide_ = wide_ || atom.wide;
    foreign_ = foreign_ || atom.code > 0x7e;
    fits_ = fits_ && atom.known && (atom.many || !is_escaped_in_json(atom.code));
  }

  /// "(?:" and "(?<name>" only group; all else after "(?" looks around or changes the rules.
  void read_group() {
    ++at_;
    if (at_ >= text_.size() || text_[at_] != '?') return;
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : 0;
    const char next = at_ + 2 < text_.size() ? text_[at_ + 2] : 0;
    const bool named =
        kind == '<' && (std::isalpha(static_cast<unsigned char>(next)) != 0 || next == '_');
    fits_ = fits_ && (kind == ':' || named);
    at_ += 2;
  }

  /// Of a class the compiler leaves the escaped characters out; something must be left.
  void read_class() {
    ++at_;
    const bool negated = at_ < text_.size() && text_[at_] == '^';
    if (negated) ++at_;
    bool any = negated;
    while (at_ < text_.size() && text_[at_] != ']') any = read_member() || any;
    ++at_;
    wide_ = wide_ || negated;
    fits_ = fits_ && any;
  }

  /// A character or a range of a class; whether one of it needs no escape.
  bool read_member() {
    const Atom low = read_atom();
    const bool range =
        !low.many && at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']';
    Atom high = low;
    if (range) {
      ++at_;
      high = read_atom();
    }
    fits_ = fits_ && low.known && high.known;
    foreign_ = foreign_ || high.code > 0x7e;
    wide_ = wide_ || low.wide || (range && spans_escaped(low.code, high.code));
    return low.many || range || !is_escaped_in_json(low.code);
  }

  static bool spans_escaped(std::uint32_t low, std::uint32_t high) {
    return low < 0x20 || (low <= '"' && '"' <= high) || (low <= '\\' && '\\' <= high);
  }

  Atom read_atom() {
    const auto c = static_cast<unsigned char>(text_[at_++]);
    if (c != '\\') return {c};
    if (at_ >= text_.size()) return {0, false, false, false};
    const char e = text_[at_++];
    switch (e) {
      case 'd':
      case 'w':
      case 's':
        return {0, true};
      case 'D':
      case 'W':
      case 'S':
        return {0, true, true};
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'v':
        return {'\n'};
      case 'x':
        return read_hex(2);
      case 'u':
        return read_hex(4);
      default:
        // \., \/, \-: themselves. Letters and digits: anchors, properties, references to groups.
        return {static_cast<unsigned char>(e), false, false,
                std::isalnum(static_cast<unsigned char>(e)) == 0};
    }
  }

  Atom read_hex(std::size_t digits) {
    std::string_view number = text_.substr(at_, digits);
    if (at_ < text_.size() && text_[at_] == '{') {
      const std::size_t end = text_.find('}', at_);
      if (end == std::string_view::npos) return {0, false, false, false};
      number = text_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
    } else {
      at_ += number.size();
    }
    std::uint32_t code = 0;
    const char* const last = number.data() + number.size();
    const auto [end, error] = std::from_chars(number.data(), last, code, 16);
    return {code, false, false, error == std::errc() && end == last};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool fits_ = true;
  bool wide_ = false;     // some part matches characters that need an escape
  bool foreign_ = false;  // beyond ASCII
};

}  // namespace

bool fits_json_string(std::string_view pattern) { return Reader(pattern).fits(); }

}  // namespace bundle::server
