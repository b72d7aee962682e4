#include "runtime/server/api_key.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/sha256.h"
#include "runtime/server/message.h"

namespace bundle::server {
namespace {

constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kHashed = "sha256:";
constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kMostKeys = 10'000;
constexpr double kMost = 1e12;

std::string_view trimmed(std::string_view line) {
  const auto first = line.find_first_not_of(kBlanks);
  if (first == line.npos) return {};
  return line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
}

/// Cuts the text before `separator` (a set of characters) off the front of `rest`.
std::string_view take_until(std::string_view& rest, std::string_view separator) {
  const std::string_view part = rest.substr(0, rest.find_first_of(separator));
  rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  return part;
}

std::optional<double> number(std::string_view text, double least) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && value >= least && value <= kMost ? std::optional(value) : std::nullopt;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional<std::int64_t>(value) : std::nullopt;
}

std::optional<unsigned> scopes(std::string_view list) {
  unsigned found = 0;
  while (!list.empty()) {
    const std::string_view word = take_until(list, ",");
    if (word == "inference") {
      found |= static_cast<unsigned>(Scope::kInference);
    } else if (word == "metrics") {
      found |= static_cast<unsigned>(Scope::kMetrics);
    } else {
      return std::nullopt;
    }
  }
  return found == 0 ? std::nullopt : std::optional(found);
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '@';
  });
}

/// False when the value does not fit the property, or there is no such property.
bool set_property(ApiKey& key, std::string_view name, std::string_view value) {
  const auto set = [&](double& target, double least) {
    const auto parsed = number(value, least);
    if (parsed) target = *parsed;
    return parsed.has_value();
  };
  if (name == "name") {
    key.name = value;
    return is_name(value);
  }
  if (name == "scopes") {
    const auto parsed = scopes(value);
    key.scopes = parsed.value_or(0);
    return parsed.has_value();
  }
  if (name == "requests_per_minute") return set(key.limits.requests_per_minute, 0);
  if (name == "tokens_per_minute") return set(key.limits.tokens_per_minute, 0);
  if (name == "weight") return set(key.weight, 0.001);
  const auto whole = whole_number(value);
  if (name == "concurrency") key.limits.concurrency = whole.value_or(0);
  if (name == "priority") key.priority = static_cast<std::int32_t>(whole.value_or(0));
  if (name == "concurrency") return whole && *whole >= 0;
  return name == "priority" && whole;
}

std::string short_name(const std::string& hash) { return "key-" + hash.substr(0, 8); }

bool is_hash(std::string_view text) {
  return text.size() == kHexDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<ApiKey> parse_hashed(std::string_view line, const std::string& where) {
  line.remove_prefix(kHashed.size());
  ApiKey key;
  key.hash = take_until(line, kBlanks);
  if (!is_hash(key.hash)) {
    return bad_input("a hashed key must be sha256: and 64 lower-case hex digits", where,
                     "Make one with: bundle key NAME.");
  }
  key.name = short_name(key.hash);
  while (!(line = trimmed(line)).empty()) {
    std::string_view word = take_until(line, kBlanks);
    const std::string property(word);
    const std::string_view name = take_until(word, "=");
    if (!set_property(key, name, word)) {
      return bad_input("'" + property + "' is no property of a key", where,
                       "Known are name, scopes (inference, metrics), requests_per_minute, "
                       "tokens_per_minute, concurrency, weight and priority.");
    }
  }
  return key;
}

}  // namespace

ApiKey plain_key(std::string_view secret) {
  const std::string hash = sha256_hex(secret);
  return {.name = short_name(hash), .hash = hash};
}

Result<std::vector<ApiKey>> parse_key_file(std::string_view text, const std::string& where) {
  std::vector<ApiKey> keys;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = trimmed(take_until(text, "\n"));
    if (line.empty() || line.starts_with("# ")) continue;
    const std::string place = where + ":" + std::to_string(number);
    if (keys.size() == kMostKeys) return bad_input("there are more than 10000 keys", place);
    if (!line.starts_with(kHashed)) {
      const bool meant_hashed = equals_ignoring_case(line.substr(0, kHashed.size()), kHashed);
      if (meant_hashed || line.find_first_of(kBlanks) != line.npos) {
        return bad_input(
            "a plain key stands alone in its line, without blanks", place,
            "What a key may do follows its hash: sha256:HASH name=… (bundle key NAME).");
      }
      keys.push_back(plain_key(line));
    } else {
      BUNDLE_TRY(ApiKey key, parse_hashed(line, place));
      keys.push_back(std::move(key));
    }
    const bool twice = std::any_of(keys.begin(), keys.end() - 1,
                                   [&](const ApiKey& k) { return k.hash == keys.back().hash; });
    if (twice) return bad_input("the same key stands there twice", place);
  }
  if (keys.empty()) return bad_input("the key file holds no key", where, "Write one key a line.");
  return keys;
}

}  // namespace bundle::server
