#include "runtime/tokenizer/regex_class.h"

#include <algorithm>
#include <string>

namespace bundle::tokenizer {
namespace {

struct NamedMask {
  std::string_view name;
  CategoryMask mask;
};

constexpr NamedMask kCategories[] = {
    {"l", kLetters},
    {"letter", kLetters},
    {"m", kMarks},
    {"mark", kMarks},
    {"combiningmark", kMarks},
    {"n", kNumbers},
    {"number", kNumbers},
    {"p", kPunctuation},
    {"punctuation", kPunctuation},
    {"s", kSymbols},
    {"symbol", kSymbols},
    {"z", kSeparators},
    {"separator", kSeparators},
    {"c", kOthers},
    {"other", kOthers},
    {"cn", mask_of(Category::kCn)},
    {"unassigned", mask_of(Category::kCn)},
    {"lu", mask_of(Category::kLu)},
    {"uppercaseletter", mask_of(Category::kLu)},
    {"ll", mask_of(Category::kLl)},
    {"lowercaseletter", mask_of(Category::kLl)},
    {"lt", mask_of(Category::kLt)},
    {"titlecaseletter", mask_of(Category::kLt)},
    {"lc", mask_of(Category::kLu, Category::kLt)},
    {"lm", mask_of(Category::kLm)},
    {"modifierletter", mask_of(Category::kLm)},
    {"lo", mask_of(Category::kLo)},
    {"otherletter", mask_of(Category::kLo)},
    {"mn", mask_of(Category::kMn)},
    {"nonspacingmark", mask_of(Category::kMn)},
    {"mc", mask_of(Category::kMc)},
    {"spacingmark", mask_of(Category::kMc)},
    {"me", mask_of(Category::kMe)},
    {"enclosingmark", mask_of(Category::kMe)},
    {"nd", mask_of(Category::kNd)},
    {"decimalnumber", mask_of(Category::kNd)},
    {"nl", mask_of(Category::kNl)},
    {"letternumber", mask_of(Category::kNl)},
    {"no", mask_of(Category::kNo)},
    {"othernumber", mask_of(Category::kNo)},
    {"pc", mask_of(Category::kPc)},
    {"connectorpunctuation", mask_of(Category::kPc)},
    {"pd", mask_of(Category::kPd)},
    {"dashpunctuation", mask_of(Category::kPd)},
    {"ps", mask_of(Category::kPs)},
    {"openpunctuation", mask_of(Category::kPs)},
    {"pe", mask_of(Category::kPe)},
    {"closepunctuation", mask_of(Category::kPe)},
    {"pi", mask_of(Category::kPi)},
    {"initialpunctuation", mask_of(Category::kPi)},
    {"pf", mask_of(Category::kPf)},
    {"finalpunctuation", mask_of(Category::kPf)},
    {"po", mask_of(Category::kPo)},
    {"otherpunctuation", mask_of(Category::kPo)},
    {"sm", mask_of(Category::kSm)},
    {"mathsymbol", mask_of(Category::kSm)},
    {"sc", mask_of(Category::kSc)},
    {"currencysymbol", mask_of(Category::kSc)},
    {"sk", mask_of(Category::kSk)},
    {"modifiersymbol", mask_of(Category::kSk)},
    {"so", mask_of(Category::kSo)},
    {"othersymbol", mask_of(Category::kSo)},
    {"zs", mask_of(Category::kZs)},
    {"spaceseparator", mask_of(Category::kZs)},
    {"zl", mask_of(Category::kZl)},
    {"lineseparator", mask_of(Category::kZl)},
    {"zp", mask_of(Category::kZp)},
    {"paragraphseparator", mask_of(Category::kZp)},
    {"cc", mask_of(Category::kCc)},
    {"control", mask_of(Category::kCc)},
    {"cf", mask_of(Category::kCf)},
    {"format", mask_of(Category::kCf)},
    {"co", mask_of(Category::kCo)},
    {"privateuse", mask_of(Category::kCo)},
    {"cs", mask_of(Category::kCs)},
    {"surrogate", mask_of(Category::kCs)},
};

CharSet ascii(std::string_view characters) {
  std::vector<CodeRange> ranges;
  for (const char c : characters) {
    const auto point = static_cast<char32_t>(static_cast<unsigned char>(c));
    ranges.push_back({point, point});
  }
  return CharSet(std::move(ranges));
}

CharSet spaces() {
  return CharSet({{'\t', '\r'}, {0x85, 0x85}}) | CharSet::categories(kSeparators);
}

CharSet alphabetic() {
  return CharSet::where([](CharInfo info) { return info.alphabetic(); });
}

CharSet digits() { return CharSet::categories(mask_of(Category::kNd)); }

CharSet hex_digits() { return CharSet({{'0', '9'}, {'A', 'F'}, {'a', 'f'}}); }

// The two engines differ in eight characters.
CharSet words(RegexFlavor flavor) {
  const CharSet base =
      alphabetic() | CharSet::categories(kMarks | mask_of(Category::kNd) | mask_of(Category::kPc));
  if (flavor == RegexFlavor::kRust) return base | CharSet({{0x200c, 0x200d}});
  return base | CharSet({{0xb2, 0xb3}, {0xb9, 0xb9}, {0xbc, 0xbe}});
}

// Property names are compared without case, spaces, underscores and hyphens.
std::string loose(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    plain.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
  }
  return plain;
}

std::optional<CharSet> script_class(const std::string& plain) {
  std::string title = plain;
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z') {
    title[0] = static_cast<char>(title[0] - 32);
  }
  const int number = script_number(title);
  if (number < 0) return std::nullopt;
  return CharSet::script(number);
}

std::optional<CharSet> binary_class(std::string_view plain) {
  if (plain == "any") return CharSet::all();
  if (plain == "assigned") return CharSet::categories(mask_of(Category::kCn)).complement();
  if (plain == "ascii") return CharSet({{0, 0x7f}});
  if (plain == "alphabetic") return alphabetic();
  if (plain == "whitespace") return spaces();
  if (plain == "uppercase") return CharSet::where([](CharInfo i) { return i.uppercase(); });
  if (plain == "lowercase") return CharSet::where([](CharInfo i) { return i.lowercase(); });
  return std::nullopt;
}

std::string_view without_prefix(std::string_view plain) {
  for (const std::string_view prefix : {"generalcategory=", "gc=", "script=", "sc="}) {
    if (plain.substr(0, prefix.size()) == prefix) return plain.substr(prefix.size());
  }
  return plain;
}

CharSet posix_punctuation(RegexFlavor flavor) {
  if (flavor == RegexFlavor::kRust) {
    return CharSet({{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}});
  }
  return CharSet::categories(kPunctuation | kSymbols);
}

}  // namespace

std::optional<CharSet> escape_class(char letter, RegexFlavor flavor) {
  switch (letter) {
    case 'd':
      return digits();
    case 'D':
      return digits().complement();
    case 's':
      return spaces();
    case 'S':
      return spaces().complement();
    case 'w':
      return words(flavor);
    case 'W':
      return words(flavor).complement();
    case 'h':
      return flavor == RegexFlavor::kOniguruma ? std::optional(hex_digits()) : std::nullopt;
    case 'H':
      return flavor == RegexFlavor::kOniguruma ? std::optional(hex_digits().complement())
                                               : std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<CharSet> property_class(std::string_view name, RegexFlavor flavor) {
  const std::string plain = loose(name);
  const std::string_view bare = without_prefix(plain);
  if (plain.compare(0, 3, "sc=") == 0 || plain.compare(0, 7, "script=") == 0) {
    return script_class(std::string(bare));
  }
  const auto* category = std::find_if(std::begin(kCategories), std::end(kCategories),
                                      [&](const NamedMask& item) { return item.name == bare; });
  if (category != std::end(kCategories)) return CharSet::categories(category->mask);
  if (auto set = binary_class(bare)) return set;
  if (auto set = script_class(std::string(bare))) return set;
  return posix_class(bare, flavor);
}

std::optional<CharSet> posix_class(std::string_view name, RegexFlavor flavor) {
  const bool wide = flavor == RegexFlavor::kOniguruma;
  const CharSet lower = wide ? *binary_class("lowercase") : CharSet({{'a', 'z'}});
  const CharSet upper = wide ? *binary_class("uppercase") : CharSet({{'A', 'Z'}});
  const CharSet alpha = wide ? alphabetic() : CharSet({{'A', 'Z'}, {'a', 'z'}});
  const CharSet digit = wide ? digits() : CharSet({{'0', '9'}});
  if (name == "lower") return lower;
  if (name == "upper") return upper;
  if (name == "alpha") return alpha;
  if (name == "digit") return digit;
  if (name == "alnum") return alpha | digit;
  if (name == "space") return wide ? spaces() : ascii("\t\n\v\f\r ");
  if (name == "blank")
    return wide ? CharSet::categories(mask_of(Category::kZs)) | ascii("\t") : ascii("\t ");
  if (name == "cntrl") return CharSet::categories(mask_of(Category::kCc));
  if (name == "xdigit") return hex_digits();
  if (name == "punct") return posix_punctuation(flavor);
  if (name == "word") return wide ? words(flavor) : alpha | digit | ascii("_");
  if (name == "ascii") return CharSet({{0, 0x7f}});
  if (name == "graph")
    return wide ? (spaces() | CharSet::categories(mask_of(Category::kCc) | mask_of(Category::kCn) |
                                                  mask_of(Category::kCs)))
                      .complement()
                : CharSet({{'!', '~'}});
  if (name == "print")
    return wide ? (CharSet::categories(mask_of(Category::kCc) | mask_of(Category::kCn) |
                                       mask_of(Category::kCs)))
                      .complement()
                : CharSet({{' ', '~'}});
  return std::nullopt;
}

}  // namespace bundle::tokenizer
