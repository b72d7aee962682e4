// An API key as it is configured: who it stands for, what it may do, and how much of it. Only the
// hash of the secret is ever kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::server {

/// What a route asks of a key, and a key may have.
enum class Scope : unsigned {
  kNone = 0,       // no key is needed
  kInference = 1,  // models, generations, tokens
  kMetrics = 2,    // metrics, autoscaling, version
};
inline constexpr unsigned kAllScopes = 3;

/// 0 is no limit.
struct KeyLimits {
  double requests_per_minute = 0;
  double tokens_per_minute = 0;  // of prompts and outputs together
  std::int64_t concurrency = 0;  // choices at work or waiting

  bool operator==(const KeyLimits&) const = default;
};

struct ApiKey {
  std::string name;  // in logs and metrics
  std::string hash;  // SHA-256 of the secret, 64 lower-case hex digits
  unsigned scopes = kAllScopes;
  KeyLimits limits = {};
  double weight = 1;          // its share of the queue beside other keys
  std::int32_t priority = 0;  // the most urgent that it may ask for; lower is more urgent

  bool operator==(const ApiKey&) const = default;
  bool may(Scope scope) const {
    const auto wanted = static_cast<unsigned>(scope);
    return (scopes & wanted) == wanted;
  }
};

/// A key that may do all, without limits.
ApiKey plain_key(std::string_view secret);

/// A key file: one key a line. A line is the secret itself, or `sha256:HASH` followed by any of
/// `name=N scopes=inference,metrics requests_per_minute=N tokens_per_minute=N concurrency=N
/// weight=N priority=N`. Blank lines and lines that begin with "# " are skipped. kBadInput, naming
/// the line, when there is no key, one is malformed, or one stands there twice.
Result<std::vector<ApiKey>> parse_key_file(std::string_view text, const std::string& where);

}  // namespace bundle::server
