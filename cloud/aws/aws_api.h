// A client of AWS's services that speak the query protocol: signed forms, answers in XML.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/sigv4.h"
#include "base/xml.h"

namespace bundle::cloud {

/// Whose account, and where.
struct AwsAccess {
  AwsCredentials credentials;
  std::string region;
};

/// From the target's settings (region) and the environment. kUsage when no keys or no region are
/// found, saying where they are looked for.
Result<AwsAccess> aws_access(const JsonObject& settings);

/// One service: its name in hosts, signatures and policies, and the version of its API.
struct AwsService {
  const char* name;
  const char* version;
  const char* endpoint_variable;  // names a stand-in, before AWS_ENDPOINT_URL
};

inline constexpr AwsService kCloudFormation{"cloudformation", "2010-05-15",
                                            "AWS_ENDPOINT_URL_CLOUDFORMATION"};
inline constexpr AwsService kAutoScaling{"autoscaling", "2011-01-01",
                                         "AWS_ENDPOINT_URL_AUTO_SCALING"};
inline constexpr AwsService kLoadBalancing{"elasticloadbalancing", "2015-12-01",
                                           "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2"};

using AwsParameters = std::vector<std::pair<std::string, std::string>>;

/// Thread-safe. Errors: kUnreachable when AWS does not answer, does not know the keys, or denies
/// the action, which is then named; kNotFound for what does not exist; kBadInput for an answer that
/// is no usable XML; else kFailed with AWS's own code and words.
class AwsApi {
 public:
  explicit AwsApi(AwsAccess access) : access_(std::move(access)) {}

  const std::string& region() const { return access_.region; }

  /// The action's result, empty for an action that gives none. Throttled calls and lost connections
  /// are tried again, a few seconds in all: what must not happen twice carries a token.
  Result<XmlNode> call(const AwsService& service, const std::string& action,
                       const AwsParameters& parameters) const;

  /// The results of all pages. kBadInput when they do not end, or a page comes again.
  Result<std::vector<XmlNode>> pages(const AwsService& service, const std::string& action,
                                     AwsParameters parameters,
                                     const std::string& token_in = "NextToken",
                                     const std::string& token_out = "NextToken") const;

 private:
  AwsAccess access_;
};

}  // namespace bundle::cloud
