// A bucket of S3, or of what speaks like it, as requests reach it.
#pragma once

#include <string>

#include "base/http_client.h"
#include "base/result.h"
#include "base/sigv4.h"
#include "base/url.h"

namespace bundle {

/// A value.
struct S3Bucket {
  Url base;  // path "/" or "/bucket/"
  AwsCredentials keys;
  std::string region;

  /// The address of an object; each part of its key is encoded.
  Url object(const std::string& key) const;
};

/// Bucket `name` at $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL or S3 itself, in `region` ("": what the
/// environment says, else us-east-1), with the keys of the environment. kBadInput for an address or
/// a region that is none.
Result<S3Bucket> open_s3_bucket(const std::string& name, std::string region = {});

/// Adds a signature to a request whose body, if any, has the hash `body_sha256`. Without keys it
/// stays unsigned.
Status sign_s3_request(const S3Bucket& bucket, HttpRequest& request,
                       const std::string& body_sha256 = {});

}  // namespace bundle
