// AWS Signature Version 4, for requests to S3, to AWS's other services, and to what speaks like
// them.
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

/// What is signed of a request's body.
struct AwsPayload {
  std::string sha256;        // 64 hex digits; "": there is no body
  std::string content_type;  // "": none is sent
};

/// The headers that sign a request, the Content-Type among them when there is one. `url.path` and
/// `url.query` must be encoded as they are sent; the query may come in any order.
std::vector<std::pair<std::string, std::string>> sign_aws_request(
    const std::string& method, const Url& url, const AwsCredentials& credentials,
    const std::string& region, const std::string& service,
    std::chrono::system_clock::time_point now, const AwsPayload& payload = {});

}  // namespace bundle
