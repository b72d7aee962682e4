#include "runtime/engine/repetition.h"

#include <algorithm>
#include <charconv>

namespace bundle::engine {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 40;
constexpr int kDeepest = 200;

/// Reads an expression once. What is not well formed is for the compiler to find.
class Counter {
 public:
  explicit Counter(std::string_view text) : text_(text) {}

  std::int64_t count() {
    while (at_ < text_.size()) {
      sequence(0);
      ++at_;  // a parenthesis too many
    }
    return largest_;
  }

 private:
  /// Elements up to a closing parenthesis or the end.
  std::int64_t sequence(int depth) {
    std::int64_t total = 0;
    while (at_ < text_.size() && text_[at_] != ')') {
      const bool group = text_[at_] == '(' && depth < kDeepest;
      const std::int64_t size = group ? inner(depth) : element();
      const std::int64_t times = repetition();
      const std::int64_t all = size > 0 && times > kMost / size ? kMost : size * times;
      if (group && times > 1) largest_ = std::max(largest_, all);
      total = std::min(kMost, total + all);
    }
    return total;
  }

  std::int64_t inner(int depth) {
    ++at_;
    const std::int64_t size = sequence(depth + 1);
    if (at_ < text_.size()) ++at_;
    return size;
  }

  /// One character, class or quoted literal.
  std::int64_t element() {
    const char c = text_[at_++];
    if (c == '\\') {
      ++at_;
    } else if (c == '[' || c == '"') {
      const char end = c == '[' ? ']' : '"';
      while (at_ < text_.size() && text_[at_] != end) at_ += text_[at_] == '\\' ? 2 : 1;
      ++at_;
    } else if (c == '|' || c == ' ' || c == '*' || c == '+' || c == '?' || c == '^' || c == '$') {
      return 0;
    }
    return 1;
  }

  /// The most times that "{m}", "{m,}" or "{m,n}" says; 1 where there is none.
  std::int64_t repetition() {
    if (at_ >= text_.size() || text_[at_] != '{') return 1;
    const std::size_t end = text_.find('}', at_);
    if (end == std::string_view::npos) return 1;
    std::int64_t most = 1;
    for (std::size_t i = at_ + 1; i < end; ++i) {
      std::int64_t number = 0;
      const auto read = std::from_chars(text_.data() + i, text_.data() + end, number);
      if (read.ptr == text_.data() + i) continue;
      most = std::max(most, read.ec == std::errc() ? number : kMost);
      i = static_cast<std::size_t>(read.ptr - text_.data());
    }
    at_ = end + 1;
    return most;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::int64_t largest_ = 0;
};

}  // namespace

std::int64_t repeated_elements(std::string_view expression) { return Counter(expression).count(); }

}  // namespace bundle::engine
