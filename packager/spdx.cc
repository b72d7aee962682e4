#include "packager/spdx.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace bundle::packager {
namespace {

constexpr std::size_t kMostBytes = 1000;  // bounds the parser's recursion

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.';
  });
}

/// MIT, Apache-2.0, GPL-2.0+, LicenseRef-mine, DocumentRef-theirs:LicenseRef-its.
bool is_license(std::string_view text) {
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    return text.starts_with("DocumentRef-") && is_name(text.substr(0, colon)) &&
           text.substr(colon + 1).starts_with("LicenseRef-") && is_name(text.substr(colon + 1));
  }
  if (text.ends_with('+')) text.remove_suffix(1);
  return is_name(text);
}

bool is_operator(std::string_view word) { return word == "AND" || word == "OR" || word == "WITH"; }

/// Words and single parentheses.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const bool is_one = text.front() == '(' || text.front() == ')' || text.front() == ' ';
    const std::size_t end = is_one ? 1 : std::min(text.find_first_of(" ()"), text.size());
    if (text.front() != ' ') words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

class SpdxParser {
 public:
  explicit SpdxParser(std::string_view text) : words_(words_of(text)) {}

  bool parse() { return alternatives() && at_ == words_.size(); }

 private:
  bool take(std::string_view word) {
    const bool is_next = at_ < words_.size() && words_[at_] == word;
    at_ += is_next ? 1 : 0;
    return is_next;
  }

  bool take_license() {
    const bool is_next =
        at_ < words_.size() && !is_operator(words_[at_]) && is_license(words_[at_]);
    at_ += is_next ? 1 : 0;
    return is_next;
  }

  bool alternatives() {
    do {
      if (!one()) return false;
    } while (take("AND") || take("OR"));
    return true;
  }

  bool one() {
    if (take("(")) return alternatives() && take(")");
    return take_license() && (!take("WITH") || take_license());
  }

  std::vector<std::string_view> words_;
  std::size_t at_ = 0;
};

}  // namespace

Status check_spdx(std::string_view expression) {
  if (expression.size() <= kMostBytes && SpdxParser(expression).parse()) return {};
  return bad_input("'" + std::string(expression.substr(0, 100)) + "' is no SPDX expression", "",
                   "Write one such as MIT, Apache-2.0, MIT AND LicenseRef-llama3.1.");
}

}  // namespace bundle::packager
