#include "base/sigv4.h"

#include <algorithm>
#include <ctime>

#include "base/hmac.h"
#include "base/sha256.h"

namespace bundle {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

std::string timestamp(std::chrono::system_clock::time_point now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return text;
}

/// Sorted by name and value; a name without '=' gets one.
std::string canonical_query(const std::string& query) {
  std::vector<std::string> parameters;
  for (std::size_t at = 0; at < query.size();) {
    const std::size_t end = std::min(query.find('&', at), query.size());
    std::string one = query.substr(at, end - at);
    if (one.find('=') == std::string::npos) one += '=';
    if (one != "=") parameters.push_back(std::move(one));
    at = end + 1;
  }
  // '=' must sort before every character that a name may go on with.
  std::ranges::sort(parameters, {}, [](const std::string& text) {
    const std::size_t equals = text.find('=');
    return std::pair(text.substr(0, equals), text.substr(equals + 1));
  });
  std::string joined;
  for (const std::string& one : parameters) joined += (joined.empty() ? "" : "&") + one;
  return joined;
}

std::string host_of(const Url& url) {
  const std::string origin = url.origin();
  return origin.substr(origin.find("//") + 2);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> sign_aws_request(
    const std::string& method, const Url& url, const AwsCredentials& credentials,
    const std::string& region, const std::string& service,
    std::chrono::system_clock::time_point now, const AwsPayload& payload) {
  const std::string time = timestamp(now);
  const std::string day = time.substr(0, 8);
  const std::string body_hash =
      payload.sha256.empty() ? sha256_hex(std::string_view()) : payload.sha256;
  std::vector<std::pair<std::string, std::string>> headers;
  if (!payload.content_type.empty()) headers.emplace_back("content-type", payload.content_type);
  headers.emplace_back("host", host_of(url));
  headers.emplace_back("x-amz-content-sha256", body_hash);
  headers.emplace_back("x-amz-date", time);
  if (!credentials.session_token.empty()) {
    headers.emplace_back("x-amz-security-token", credentials.session_token);
  }
  std::string canonical = method + '\n' + url.path + '\n' + canonical_query(url.query) + '\n';
  std::string names;
  for (const auto& [name, value] : headers) {  // already sorted
    canonical += name + ':' + value + '\n';
    names += (names.empty() ? "" : ";") + name;
  }
  canonical += '\n' + names + '\n' + body_hash;
  const std::string scope = day + '/' + region + '/' + service + "/aws4_request";
  const std::string to_sign =
      std::string(kAlgorithm) + '\n' + time + '\n' + scope + '\n' + sha256_hex(canonical);
  std::string key = "AWS4" + credentials.secret_key;
  for (const std::string& part : {day, region, service, std::string("aws4_request")}) {
    key = hmac_sha256(key, part);
  }
  std::erase_if(headers, [](const auto& header) { return header.first == "host"; });  // HTTP's own
  headers.emplace_back("Authorization", std::string(kAlgorithm) +
                                            " Credential=" + credentials.access_key + '/' + scope +
                                            ", SignedHeaders=" + names +
                                            ", Signature=" + hex(hmac_sha256(key, to_sign)));
  return headers;
}

}  // namespace bundle
