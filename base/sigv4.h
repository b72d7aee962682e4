// AWS Signature Version 4, for GET and HEAD requests to S3 and what speaks like it.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/url.h"

namespace bundle {

/// A value; never printed.
struct AwsCredentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  // "" for long-lived keys

  bool empty() const { return access_key.empty(); }
};

/// The headers that sign a request without a body. `url.path` and `url.query` must be encoded as
/// they are sent; the query may come in any order.
std::vector<std::pair<std::string, std::string>> sign_aws_request(
    const std::string& method, const Url& url, const AwsCredentials& credentials,
    const std::string& region, const std::string& service,
    std::chrono::system_clock::time_point now);

}  // namespace bundle
