#include "cloud/aws/aws_api.h"

#include <chrono>
#include <set>
#include <string_view>
#include <thread>

#include "base/aws_account.h"
#include "base/http_client.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/url.h"

namespace bundle::cloud {
namespace {

constexpr char kFormType[] = "application/x-www-form-urlencoded; charset=utf-8";
constexpr std::uint64_t kMostAnswerBytes = 8u << 20;
constexpr std::chrono::seconds kTimeout{60};
constexpr int kAttempts = 4;
constexpr std::chrono::milliseconds kFirstPause{300};
constexpr std::size_t kMostPages = 500;

std::string form_of(const AwsService& service, const std::string& action,
                    const AwsParameters& parameters) {
  std::string form = "Action=" + action + "&Version=" + service.version;
  for (const auto& [name, value] : parameters) {
    form += '&' + percent_encode(name) + '=' + percent_encode(value);
  }
  return form;
}

Result<Url> endpoint_of(const AwsService& service, const std::string& region) {
  const std::string other = aws_endpoint(service.endpoint_variable);
  if (!other.empty()) return parse_url(other);
  return parse_url("https://" + std::string(service.name) + '.' + region + aws_domain(region) +
                   '/');
}

/// AWS's code and words of a refusal; empty when it says none.
struct Refusal {
  std::string code;
  std::string text;
};

Refusal refusal_in(std::string_view body) {
  const auto xml = parse_xml(body, "answer");
  if (!xml) return {};
  const XmlNode* error = xml->child("Error");
  if (error == nullptr && !xml->items("Errors").empty()) error = &xml->items("Errors").front();
  if (error == nullptr) return {};
  return {show_controls(error->child_text("Code")), show_controls(error->child_text("Message"))};
}

bool is_passing(int status, const Refusal& refusal) {
  return status == 429 || status >= 500 || refusal.code.starts_with("Throttl") ||
         refusal.code == "RequestLimitExceeded";
}

/// A page that a proxy, or whoever has the address, answers with 200.
Error no_answer_of(const std::string& full_name, const Url& url) {
  return {ErrorCode::kUnreachable, "what answers is not AWS", full_name + " at " + url.host,
          "Does a proxy stand before it, or is AWS_ENDPOINT_URL wrong?"};
}

bool is_one_of(std::string_view code, std::initializer_list<std::string_view> codes) {
  for (const std::string_view one : codes) {
    if (code == one) return true;
  }
  return false;
}

Error denied(const std::string& action, const Refusal& refusal) {
  return {ErrorCode::kUnreachable, "AWS denies " + action + ": " + refusal.text, "",
          "Allow it to this user or role; docs/deploy-cloud.md has a policy with all that a "
          "deployment needs."};
}

Error unknown_keys(const Refusal& refusal) {
  const bool old = refusal.code.starts_with("Expired") || refusal.code == "RequestExpired";
  return {ErrorCode::kUnreachable,
          "AWS does not take these keys: " + refusal.code + ": " + refusal.text, "",
          old ? "Get new ones: temporary keys last a few hours; check this machine's clock too."
              : "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the "
                "profile that AWS_PROFILE names."};
}

Error explain(const std::string& action, int status, const Refusal& refusal) {
  if (is_one_of(refusal.code, {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation",
                               "AuthorizationError", "NotAuthorized"})) {
    return denied(action, refusal);
  }
  if (is_one_of(refusal.code,
                {"SignatureDoesNotMatch", "InvalidClientTokenId", "UnrecognizedClientException",
                 "AuthFailure", "ExpiredToken", "ExpiredTokenException", "RequestExpired",
                 "IncompleteSignature", "MissingAuthenticationToken", "InvalidToken"})) {
    return unknown_keys(refusal);
  }
  const bool is_missing = refusal.text.find("does not exist") != std::string::npos ||
                          refusal.text.find("not found") != std::string::npos ||
                          refusal.code.ends_with("NotFound");
  const std::string said = refusal.code.empty() ? "status " + std::to_string(status)
                                                : refusal.code + ": " + refusal.text;
  const bool refused = status >= 500 || status == 401 || status == 403;
  return {
      is_missing ? ErrorCode::kNotFound : (refused ? ErrorCode::kUnreachable : ErrorCode::kFailed),
      "AWS answers " + action + " with " + said};
}

Result<HttpResponse> send_form(const AwsAccess& access, const AwsService& service, const Url& url,
                               const std::string& form) {
  HttpRequest request;
  request.method = "POST";
  request.url = url.text();
  request.body = form;
  request.timeout = kTimeout;
  request.max_body = kMostAnswerBytes;
  request.headers =
      sign_aws_request("POST", url, access.credentials, access.region, service.name,
                       std::chrono::system_clock::now(), {sha256_hex(form), kFormType});
  return http_request(request);
}

}  // namespace

Result<AwsAccess> aws_access(const JsonObject& settings) {
  AwsAccess access{aws_credentials(), ""};
  BUNDLE_TRY(access.region, get_string_or(settings, "region", "", "aws"));
  if (access.region.empty()) access.region = aws_region();
  if (access.region.empty()) {
    return Error{ErrorCode::kUsage, "no region of AWS is named", "",
                 "Set aws.region in deployment.yaml, or AWS_REGION."};
  }
  if (!is_aws_region(access.region)) {
    return Error{ErrorCode::kUsage,
                 "'" + show_controls(access.region.substr(0, 64)) + "' is no region of AWS"};
  }
  if (access.credentials.empty()) {
    return Error{ErrorCode::kUsage, "there are no keys for AWS", "",
                 "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile of "
                 "~/.aws/credentials; for a role or single sign-on: eval \"$(aws configure "
                 "export-credentials --format env)\"."};
  }
  return access;
}

Result<XmlNode> AwsApi::call(const AwsService& service, const std::string& action,
                             const AwsParameters& parameters) const {
  const std::string full_name = std::string(service.name) + ':' + action;
  BUNDLE_TRY(const Url url, endpoint_of(service, access_.region));
  const std::string form = form_of(service, action, parameters);
  auto pause = kFirstPause;
  for (int attempt = 1;; ++attempt, pause *= 2) {
    const auto response = send_form(access_, service, url, form);
    if (response && response->status == 200) {
      const auto parsed = parse_xml(response->body, full_name);
      if (!parsed || parsed->name != action + "Response") return no_answer_of(full_name, url);
      const XmlNode& xml = *parsed;
      const XmlNode* result = xml.child(action + "Result");
      return result == nullptr ? XmlNode{} : *result;
    }
    if (!response && response.error().code != ErrorCode::kUnreachable) return response.error();
    const Refusal refusal = response ? refusal_in(response->body) : Refusal{};
    if (attempt < kAttempts && (!response || is_passing(response->status, refusal))) {
      std::this_thread::sleep_for(pause);
      continue;
    }
    if (!response) return response.error();
    return explain(full_name, response->status, refusal);
  }
}

Result<std::vector<XmlNode>> AwsApi::pages(const AwsService& service, const std::string& action,
                                           AwsParameters parameters, const std::string& token_in,
                                           const std::string& token_out) const {
  std::vector<XmlNode> all;
  std::set<std::string> tokens;
  const std::size_t own = parameters.size();
  for (;;) {
    BUNDLE_TRY(XmlNode page, call(service, action, parameters));
    const std::string token = page.child_text(token_out);
    all.push_back(std::move(page));
    if (token.empty()) return all;
    if (all.size() >= kMostPages || !tokens.insert(token).second) {
      return bad_input("the pages of " + action + " do not end", service.name);
    }
    parameters.resize(own);
    parameters.emplace_back(token_in, token);
  }
}

}  // namespace bundle::cloud
