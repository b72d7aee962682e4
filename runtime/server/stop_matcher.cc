#include "runtime/server/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace bundle::server {

StopMatcher::StopMatcher(std::vector<std::string> stops, bool include)
    : stops_(std::move(stops)), include_(include) {}

std::string StopMatcher::push(std::string_view text) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(text);
  held_ += text;
  std::size_t first_end = std::string::npos;
  std::size_t first_begin = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t begin = held_.find(stop);
    if (begin == std::string::npos) continue;
    const std::size_t end = begin + stop.size();
    if (std::pair(end, begin) < std::pair(first_end, first_begin)) {
      first_end = end;
      first_begin = begin;
      matched_ = stop;
    }
  }
  if (first_end != std::string::npos) {
    stopped_ = true;
    held_.resize(include_ ? first_end : first_begin);
    return std::exchange(held_, {});
  }
  const std::size_t sure = held_.size() - held_length();
  std::string out = held_.substr(0, sure);
  held_.erase(0, sure);
  return out;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

std::string StopMatcher::skip(std::string_view text) { return finish() += text; }

/// Bytes at the end of held_ that begin a stop string: the longest such suffix.
std::size_t StopMatcher::held_length() const {
  std::size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > longest; --n) {
      if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) longest = n;
    }
  }
  return longest;
}

}  // namespace bundle::server
