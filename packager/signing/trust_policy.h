// trust.yaml: whose signatures a bundle needs before it may be pulled, imported or served.
//
//   version: 1
//   default: accept            # names that no rule matches: accept, reject or signature
//   rules:                     # the first that matches counts
//     - match: "team/*"        # '*' is any text
//       require: signature
//       keys: [prod.pub]       # beside trust.yaml, or an absolute path
//       threshold: 1           # that many different keys
//       minimum_version: 1.2.0 # older ones are refused, though signed
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "packager/signing/ec_key.h"

namespace bundle::packager::signing {

struct TrustedKey {
  std::string name;  // the file that it came from
  PublicKey key;
};

enum class TrustAction { kAccept, kReject, kRequireSignature };

struct TrustRule {
  std::string match;
  TrustAction action = TrustAction::kAccept;
  std::vector<TrustedKey> keys;
  int threshold = 1;
  std::string minimum_version;  // "" for none
};

/// A value. Without a file everything is accepted.
class TrustPolicy {
 public:
  /// Strict: unknown keys, wrong types and unreadable key files are kBadInput with line and column.
  static Result<TrustPolicy> parse(std::string_view text, const Path& file);
  static Result<TrustPolicy> load(const Path& file);
  /// $BUNDLE_HOME/trust.yaml, when there is one.
  static Result<TrustPolicy> load_default();

  const TrustRule& rule_for(std::string_view name) const;

 private:
  std::vector<TrustRule> rules_;
  TrustRule default_;
};

/// Numbers and dots, as in "1.10.0", "v2" and "1.0.0-rc1+build": what can be older or newer.
bool is_version(std::string_view version);

/// Of two such: compares "1.10.0" and "1.9" as semantic versioning does. Negative, zero or
/// positive.
int compare_versions(std::string_view a, std::string_view b);

}  // namespace bundle::packager::signing
