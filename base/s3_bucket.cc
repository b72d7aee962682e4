#include "base/s3_bucket.h"

#include <algorithm>
#include <chrono>

#include "base/aws_account.h"

namespace bundle {

Url S3Bucket::object(const std::string& key) const {
  Url url = base;
  for (std::size_t start = 0; start <= key.size();) {
    const std::size_t slash = std::min(key.find('/', start), key.size());
    url.path += (start == 0 ? "" : "/") + percent_encode(key.substr(start, slash - start));
    start = slash + 1;
  }
  return url;
}

Result<S3Bucket> open_s3_bucket(const std::string& name, std::string region) {
  S3Bucket bucket;
  bucket.keys = aws_credentials();
  bucket.region = region.empty() ? aws_region() : std::move(region);
  if (bucket.region.empty()) bucket.region = "us-east-1";
  if (!is_aws_region(bucket.region)) return bad_input("AWS_REGION is no name of a region");
  const std::string endpoint = aws_endpoint("AWS_ENDPOINT_URL_S3");
  if (!endpoint.empty()) {
    BUNDLE_TRY(bucket.base, parse_url(endpoint));
    bucket.base.path = '/' + name + '/';
    return bucket;
  }
  // A name with dots does not fit S3's certificate.
  const std::string host = "s3." + bucket.region + aws_domain(bucket.region);
  const bool is_path_style = name.find('.') != std::string::npos;
  BUNDLE_TRY(bucket.base, parse_url(is_path_style ? "https://" + host + '/' + name + '/'
                                                  : "https://" + name + '.' + host + '/'));
  return bucket;
}

Status sign_s3_request(const S3Bucket& bucket, HttpRequest& request,
                       const std::string& body_sha256) {
  if (bucket.keys.empty()) return {};
  BUNDLE_TRY(const Url url, parse_url(request.url));
  for (auto& header : sign_aws_request(request.method, url, bucket.keys, bucket.region, "s3",
                                       std::chrono::system_clock::now(), {body_sha256, ""})) {
    request.headers.push_back(std::move(header));
  }
  return {};
}

}  // namespace bundle
