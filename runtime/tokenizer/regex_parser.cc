// Recursive descent over a pattern. What is not known is refused: a pattern read wrong would give
// wrong ids without a word.
#include <string>

#include "base/text.h"
#include "runtime/tokenizer/regex_class.h"
#include "runtime/tokenizer/regex_node.h"

namespace bundle::tokenizer {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::uint32_t kMaxCount = 1000;

struct Flags {
  bool ignore_case = false;
  bool dot_all = false;
  bool multi_line = false;
};

struct Count {
  std::uint32_t min;
  std::uint32_t max;
};

RegexNode set_node(CharSet set) { return {.kind = RegexNodeKind::kSet, .set = std::move(set)}; }

RegexNode place_node(RegexPlace place) { return {.kind = RegexNodeKind::kAssert, .place = place}; }

class Parser {
 public:
  Parser(std::u32string_view pattern, RegexFlavor flavor) : in_(pattern), flavor_(flavor) {
    flags_.multi_line = flavor == RegexFlavor::kOniguruma;
  }

  Result<RegexNode> parse() {
    BUNDLE_TRY(RegexNode node, alternatives());
    if (!done()) return refuse("an unopened ')'");
    return node;
  }

 private:
  bool done() const { return at_ == in_.size(); }
  char32_t peek(std::size_t ahead = 0) const {
    return ahead < in_.size() - at_ ? in_[at_ + ahead] : U'\0';
  }
  bool looking_at(std::u32string_view text) const { return in_.substr(at_, text.size()) == text; }
  bool take(std::u32string_view text) {
    if (!looking_at(text)) return false;
    at_ += text.size();
    return true;
  }
  bool ruby() const { return flavor_ == RegexFlavor::kOniguruma; }

  Error refuse(const std::string& what) const {
    return bad_input("the pattern has " + what, "character " + std::to_string(at_));
  }

  Result<RegexNode> alternatives() {
    if (++depth_ > kMaxDepth) return refuse("groups nested too deep");
    RegexNode all{.kind = RegexNodeKind::kAlternatives};
    do {
      BUNDLE_TRY(RegexNode branch, sequence());
      all.children.push_back(std::move(branch));
    } while (take(U"|"));
    --depth_;
    if (all.children.size() == 1) return std::move(all.children[0]);
    return all;
  }

  Result<RegexNode> sequence() {
    RegexNode all;
    while (!done() && peek() != U'|' && peek() != U')') {
      if (take(U"(?#")) {
        BUNDLE_CHECK(skip_comment());
        continue;
      }
      if (looking_at(U"(?")) {
        BUNDLE_TRY(const bool whole_rest, flag_setting());
        if (whole_rest) continue;
      }
      BUNDLE_TRY(RegexNode item, atom());
      BUNDLE_TRY(item, quantified(std::move(item)));
      all.children.push_back(std::move(item));
    }
    if (all.children.size() == 1) return std::move(all.children[0]);
    return all;
  }

  Status skip_comment() {
    const std::size_t end = in_.find(U')', at_);
    if (end == std::u32string_view::npos) return refuse("an unclosed comment");
    at_ = end + 1;
    return {};
  }

  // "(?i)": the flags hold to the end of the group. False when this is no such setting.
  Result<bool> flag_setting() {
    const std::size_t close = in_.find_first_not_of(U"imsux-", at_ + 2);
    if (close == std::u32string_view::npos || in_[close] != U')') return false;
    at_ += 2;
    BUNDLE_CHECK(read_flags());
    ++at_;
    return true;
  }

  // The letters up to ':' or ')'. Ruby's m lets the dot match newlines, which Rust calls s.
  Status read_flags() {
    bool on = true;
    for (; peek() != U':' && peek() != U')'; ++at_) {
      switch (peek()) {
        case U'-':
          on = false;
          break;
        case U'i':
          flags_.ignore_case = on;
          break;
        case U'm':
          (ruby() ? flags_.dot_all : flags_.multi_line) = on;
          break;
        case U's':
          flags_.dot_all = on;
          break;
        case U'u':
          break;
        default:
          return refuse("a flag that is not supported");
      }
    }
    return {};
  }

  Result<RegexNode> atom() {
    const char32_t c = peek();
    switch (c) {
      case U'(':
        return group();
      case U'[': {
        ++at_;
        BUNDLE_TRY(CharSet set, bracket());
        return set_node(std::move(set));
      }
      case U'\\':
        return escape();
      case U'.': {
        ++at_;
        return set_node(flags_.dot_all ? CharSet::all() : CharSet::single('\n').complement());
      }
      case U'^':
        ++at_;
        return place_node(flags_.multi_line ? RegexPlace::kLineBegin : RegexPlace::kTextBegin);
      case U'$':
        ++at_;
        return place_node(flags_.multi_line ? RegexPlace::kLineEnd : RegexPlace::kTextEnd);
      case U'*':
      case U'+':
      case U'?':
        return refuse("a quantifier with nothing before it");
      default:
        ++at_;
        return literal(c);
    }
  }

  RegexNode literal(char32_t c) const { return set_node(cased(CharSet::single(c))); }

  CharSet cased(CharSet set) const { return flags_.ignore_case ? set.any_case() : std::move(set); }

  Result<RegexNode> group() {
    ++at_;
    const Flags saved = flags_;
    RegexNode shell{.kind = RegexNodeKind::kSequence};
    BUNDLE_CHECK(group_head(shell));
    BUNDLE_TRY(RegexNode inner, alternatives());
    if (!take(U")")) return refuse("an unclosed group");
    flags_ = saved;
    shell.children.push_back(std::move(inner));
    return shell;
  }

  Status group_head(RegexNode& shell) {
    if (!take(U"?")) return {};
    const auto look = [&shell](bool behind, bool negated) {
      shell.kind = RegexNodeKind::kLook;
      shell.behind = behind;
      shell.negated = negated;
    };
    if (take(U":")) return {};
    if (take(U"=")) return look(false, false), Status{};
    if (take(U"!")) return look(false, true), Status{};
    if (take(U"<=")) return look(true, false), Status{};
    if (take(U"<!")) return look(true, true), Status{};
    if (take(U">")) {
      shell.kind = RegexNodeKind::kAtomic;
      return {};
    }
    if (take(U"P<") || take(U"<")) return skip_name(U'>');
    if (take(U"'")) return skip_name(U'\'');
    if (in_.find_first_not_of(U"imsu-", at_) == in_.find(U':', at_)) {
      BUNDLE_CHECK(read_flags());
      ++at_;
      return {};
    }
    return refuse("a kind of group that is not supported");
  }

  Status skip_name(char32_t close) {
    const std::size_t end = in_.find(close, at_);
    if (end == std::u32string_view::npos || end == at_) return refuse("a group without a name");
    at_ = end + 1;
    return {};
  }

  Result<RegexNode> escape() {
    const char32_t c = peek(1);
    switch (c) {
      case U'A':
        at_ += 2;
        return place_node(RegexPlace::kTextBegin);
      case U'z':
        at_ += 2;
        return place_node(RegexPlace::kTextEnd);
      case U'Z':
        at_ += 2;
        return place_node(RegexPlace::kTextEndOrLastNewline);
      case U'b':
        at_ += 2;
        return place_node(RegexPlace::kWordBorder);
      case U'B':
        at_ += 2;
        return place_node(RegexPlace::kNoWordBorder);
      default:
        break;
    }
    BUNDLE_TRY(Item item, escaped_item());
    return set_node(cased(std::move(item.set)));
  }

  // One member of a class: a set, and the character it is when it is a single one.
  struct Item {
    CharSet set;
    std::optional<char32_t> single = std::nullopt;
  };

  static Item single_item(char32_t c) { return {CharSet::single(c), c}; }

  Result<Item> escaped_item() {
    ++at_;
    if (done()) return refuse("a '\\' at its end");
    const char32_t c = in_[at_++];
    switch (c) {
      case U'n':
        return single_item('\n');
      case U'r':
        return single_item('\r');
      case U't':
        return single_item('\t');
      case U'f':
        return single_item('\f');
      case U'v':
        return single_item('\v');
      case U'a':
        return single_item('\a');
      case U'e':
        return single_item(0x1b);
      case U'0':
        return single_item(0);
      case U'x':
        return hex_item(2);
      case U'u':
        return hex_item(4);
      case U'U':
        return hex_item(8);
      case U'p':
      case U'P':
        return property_item(c == U'P');
      default:
        break;
    }
    if (c < 0x80) {
      if (auto set = escape_class(static_cast<char>(c), flavor_)) return Item{std::move(*set)};
    }
    const bool letter_or_digit = c < 0x80 && is_word(c) && c != U'_';
    if (letter_or_digit) return refuse("an escape that is not supported");
    return single_item(c);
  }

  Result<Item> hex_item(int digits) {
    const bool braced = take(U"{");
    char32_t value = 0;
    int count = 0;
    while (count < (braced ? 8 : digits)) {
      const int digit = hex_digit(peek());
      if (digit < 0) break;
      value = value * 16 + static_cast<char32_t>(digit);
      ++count;
      ++at_;
    }
    if (braced && !take(U"}")) return refuse("an unclosed \\x{");
    if (count == 0 || value > 0x10ffff) return refuse("a bad code point");
    return single_item(value);
  }

  static int hex_digit(char32_t c) {
    if (c >= U'0' && c <= U'9') return static_cast<int>(c - U'0');
    if (c >= U'a' && c <= U'f') return static_cast<int>(c - U'a') + 10;
    if (c >= U'A' && c <= U'F') return static_cast<int>(c - U'A') + 10;
    return -1;
  }

  Result<Item> property_item(bool negated) {
    std::string name;
    if (take(U"{")) {
      if (take(U"^")) negated = !negated;
      const std::size_t end = in_.find(U'}', at_);
      if (end == std::u32string_view::npos) return refuse("an unclosed \\p{");
      for (; at_ < end; ++at_) append_utf8(name, in_[at_]);
      ++at_;
    } else if (!done()) {
      append_utf8(name, in_[at_++]);
    }
    auto set = property_class(name, flavor_);
    if (!set) return refuse("the unknown property '" + name + "'");
    return Item{negated ? set->complement() : std::move(*set)};
  }

  // A class after its '['. "&&" binds loosest: everything before it is one operand.
  Result<CharSet> bracket() {
    if (++depth_ > kMaxDepth) return refuse("classes nested too deep");
    const bool negated = take(U"^");
    CharSet operands = CharSet::all();
    CharSet current;
    bool first = true;
    while (first || peek() != U']') {
      if (done()) return refuse("an unclosed class");
      if (take(U"&&")) {
        operands = operands & current;
        current = CharSet();
      } else {
        BUNDLE_TRY(CharSet members, class_members());
        current = current | members;
      }
      first = false;
    }
    ++at_;
    --depth_;
    CharSet result = cased(operands & current);
    return negated ? result.complement() : std::move(result);
  }

  // One item, or a range of two.
  Result<CharSet> class_members() {
    BUNDLE_TRY(Item low, class_item());
    const bool range = low.single && peek() == U'-' && peek(1) != U']' && peek(1) != U'\0';
    if (!range || looking_at(U"-[")) return std::move(low.set);
    ++at_;
    BUNDLE_TRY(Item high, class_item());
    // "[a-\d]": the hyphen stands for itself.
    if (!high.single) return low.set | CharSet::single('-') | high.set;
    if (*high.single < *low.single) return refuse("a range that ends before it begins");
    return CharSet({{*low.single, *high.single}});
  }

  Result<Item> class_item() {
    if (done()) return refuse("an unclosed class");
    if (looking_at(U"[:")) {
      const std::size_t end = in_.find(U":]", at_);
      if (end != std::u32string_view::npos) return posix_item(end);
    }
    if (take(U"[")) {
      BUNDLE_TRY(CharSet set, bracket());
      return Item{std::move(set)};
    }
    if (looking_at(U"\\b")) {
      at_ += 2;
      return single_item('\b');
    }
    if (peek() == U'\\') return escaped_item();
    return single_item(in_[at_++]);
  }

  Result<Item> posix_item(std::size_t end) {
    at_ += 2;
    const bool negated = take(U"^");
    std::string name;
    for (; at_ < end; ++at_) append_utf8(name, in_[at_]);
    at_ = end + 2;
    auto set = posix_class(name, flavor_);
    if (!set) return refuse("the unknown class '[:" + name + ":]'");
    return Item{negated ? set->complement() : std::move(*set)};
  }

  Result<RegexNode> quantified(RegexNode item) {
    for (int stacked = 0;; ++stacked) {
      if (stacked > kMaxDepth) return refuse("too many quantifiers in a row");
      const bool braces = peek() == U'{';
      BUNDLE_TRY(const std::optional<Count> count, quantifier());
      if (!count) return item;
      RegexNode repeat{.kind = RegexNodeKind::kRepeat, .min = count->min, .max = count->max};
      repeat.greed = greed(braces);
      // Ruby reads x{n}? as (?:x{n})?.
      if (ruby() && braces && count->min == count->max && repeat.greed == RegexGreed::kLazy) {
        repeat.greed = RegexGreed::kGreedy;
        repeat.children.push_back(std::move(item));
        item = {.kind = RegexNodeKind::kRepeat, .min = 0, .max = 1};
        item.children.push_back(std::move(repeat));
        continue;
      }
      repeat.children.push_back(std::move(item));
      item = std::move(repeat);
    }
  }

  // In Ruby "{n,m}+" is a repeated repeat, so that '+' is left for the next round.
  RegexGreed greed(bool braces) {
    if (take(U"?")) return RegexGreed::kLazy;
    if (!(ruby() && braces) && take(U"+")) return RegexGreed::kPossessive;
    return RegexGreed::kGreedy;
  }

  Result<std::optional<Count>> quantifier() {
    if (take(U"*")) return std::optional(Count{0, kNoLimit});
    if (take(U"+")) return std::optional(Count{1, kNoLimit});
    if (take(U"?")) return std::optional(Count{0, 1});
    if (peek() != U'{') return std::optional<Count>();
    const std::size_t start = at_++;
    const std::optional<std::uint32_t> low = number();
    const bool comma = take(U",");
    const std::optional<std::uint32_t> high = comma ? number() : low;
    if ((!low && !high) || !take(U"}")) {
      if (!ruby()) return refuse("a bad count");
      at_ = start;
      return std::optional<Count>();  // Ruby: a brace that stands for itself
    }
    const Count count{low.value_or(0), high.value_or(kNoLimit)};
    if (count.min > kMaxCount || (high && *high > kMaxCount) || count.max < count.min) {
      return refuse("a count out of range");
    }
    return std::optional(count);
  }

  std::optional<std::uint32_t> number() {
    std::optional<std::uint32_t> value;
    for (; peek() >= U'0' && peek() <= U'9'; ++at_) {
      value = std::min<std::uint32_t>(value.value_or(0) * 10 + (peek() - U'0'), kMaxCount + 1);
    }
    return value;
  }

  std::u32string_view in_;
  RegexFlavor flavor_;
  std::size_t at_ = 0;
  int depth_ = 0;
  Flags flags_;
};

}  // namespace

Result<RegexNode> parse_regex(std::string_view pattern, RegexFlavor flavor) {
  if (!is_valid_utf8(pattern)) return bad_input("the pattern is no valid UTF-8");
  const std::u32string points = to_code_points(pattern);
  return Parser(points, flavor).parse();
}

}  // namespace bundle::tokenizer
