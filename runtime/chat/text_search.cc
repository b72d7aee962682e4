#include "runtime/chat/text_search.h"

#include <algorithm>
#include <cstring>

#include "runtime/chat/unicode.h"

namespace bundle::chat {
namespace {

std::size_t character_size(std::string_view in, std::size_t at) {
  std::size_t next = at;
  next_code_point(in, next);
  return next - at;
}

/// replace("", by): `by` before every code point and at the end, up to `most` times.
std::string interleave(std::string_view in, std::string_view by, std::size_t most) {
  std::string out;
  for (std::size_t at = 0; at <= in.size();) {
    if (most > 0) {
      out += by;
      --most;
    }
    if (at == in.size()) break;
    const std::size_t size = character_size(in, at);
    out += in.substr(at, size);
    at += size;
  }
  return out;
}

/// The end of `in` without its trailing white space; and the start of its last word.
std::size_t trimmed_end(std::string_view in) { return strip(in, false, true).size(); }

std::size_t word_start(std::string_view in) {
  std::size_t at = in.size();
  while (at > 0) {
    std::size_t start = at - 1;
    while (start > 0 && (static_cast<unsigned char>(in[start]) & 0xc0) == 0x80) --start;
    std::size_t next = start;
    if (is_space(next_code_point(in, next))) break;
    at = start;
  }
  return at;
}

}  // namespace

std::size_t find_text(std::string_view in, std::string_view what, std::size_t from) {
  if (from > in.size()) return kNotFound;
  const void* at = memmem(in.data() + from, in.size() - from, what.data(), what.size());
  if (at == nullptr) return kNotFound;
  return static_cast<std::size_t>(static_cast<const char*>(at) - in.data());
}

std::size_t find_last_text(std::string_view in, std::string_view what) {
  const std::string back(in.rbegin(), in.rend());
  const std::string needle(what.rbegin(), what.rend());
  const std::size_t at = find_text(back, needle);
  return at == kNotFound ? kNotFound : in.size() - at - what.size();
}

std::size_t count_text(std::string_view in, std::string_view what) {
  if (what.empty()) return count_code_points(in) + 1;
  std::size_t count = 0;
  for (std::size_t at = 0; (at = find_text(in, what, at)) != kNotFound; at += what.size()) ++count;
  return count;
}

std::size_t replaced_size(std::string_view in, std::string_view what, std::string_view by,
                          std::size_t most) {
  const std::size_t count = std::min(count_text(in, what), most);
  std::size_t added = 0;
  if (__builtin_mul_overflow(count, by.size(), &added)) return kNotFound;
  const std::size_t kept = in.size() - count * what.size();
  return added > kNotFound - kept ? kNotFound : kept + added;
}

std::string replace_text(std::string_view in, std::string_view what, std::string_view by,
                         std::size_t most) {
  if (what.empty()) return interleave(in, by, most);
  std::string out;
  std::size_t start = 0;
  for (; most > 0; --most) {
    const std::size_t at = find_text(in, what, start);
    if (at == kNotFound) break;
    out.append(in.substr(start, at - start)).append(by);
    start = at + what.size();
  }
  return out.append(in.substr(start));
}

std::vector<std::string_view> split_text(std::string_view in, std::string_view separator,
                                         std::size_t most) {
  std::vector<std::string_view> parts;
  std::size_t start = 0;
  while (parts.size() < most) {
    const std::size_t at = find_text(in, separator, start);
    if (at == kNotFound) break;
    parts.push_back(in.substr(start, at - start));
    start = at + separator.size();
  }
  parts.push_back(in.substr(start));
  return parts;
}

std::vector<std::string_view> split_text_right(std::string_view in, std::string_view separator,
                                               std::size_t most) {
  // Split the mirrored text, then mirror the parts back.
  const std::string back(in.rbegin(), in.rend());
  const std::string mirrored(separator.rbegin(), separator.rend());
  std::vector<std::string_view> parts = split_text(back, mirrored, most);
  for (auto& part : parts) {
    const auto start = static_cast<std::size_t>(part.data() - back.data());
    part = in.substr(in.size() - start - part.size(), part.size());
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_space(std::string_view in, std::size_t most) {
  std::vector<std::string_view> parts = split_words(in);
  if (parts.size() <= most) return parts;
  const auto start = static_cast<std::size_t>(parts[most].data() - in.data());
  parts.resize(most);
  parts.push_back(in.substr(start));
  return parts;
}

std::vector<std::string_view> split_space_right(std::string_view in, std::size_t most) {
  std::vector<std::string_view> parts;
  in = in.substr(0, trimmed_end(in));
  while (!in.empty()) {
    if (parts.size() == most) {
      parts.push_back(in);
      break;
    }
    const std::size_t start = word_start(in);
    parts.push_back(in.substr(start));
    in = in.substr(0, trimmed_end(in.substr(0, start)));
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace bundle::chat
