#include "runtime/server/trace_context.h"

#include <algorithm>

#include "runtime/server/random_id.h"

namespace bundle::server {
namespace {

constexpr std::size_t kLength = 55;  // 00-…32…-…16…-01
constexpr std::size_t kMostState = 512;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool all_zero(std::string_view text) { return text.find_first_not_of('0') == text.npos; }

/// A later version may go on after a dash; ff is none.
bool well_formed(std::string_view text) {
  if (text.size() < kLength || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const std::string_view version = text.substr(0, 2);
  if (version == "ff" || (version == "00" && text.size() != kLength)) return false;
  if (text.size() > kLength && text[kLength] != '-') return false;
  return is_hex(version) && is_hex(text.substr(3, 32)) && is_hex(text.substr(36, 16)) &&
         is_hex(text.substr(53, 2)) && !all_zero(text.substr(3, 32)) &&
         !all_zero(text.substr(36, 16));
}

bool odd(char hex) { return ((hex <= '9' ? hex - '0' : hex - 'a' + 10) & 1) != 0; }

}  // namespace

TraceContext trace_of(const HttpRequest& request) {
  TraceContext out;
  out.span_id = random_id("").substr(0, 16);
  const std::string_view parent = request.field("traceparent");
  if (!well_formed(parent)) {
    out.trace_id = random_id("");
    return out;
  }
  out.trace_id = parent.substr(3, 32);
  out.parent_span_id = parent.substr(36, 16);
  out.sampled = odd(parent[54]);
  const std::string_view state = request.field("tracestate");
  if (state.size() <= kMostState) out.state = state;
  return out;
}

}  // namespace bundle::server
