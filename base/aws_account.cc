#include "base/aws_account.h"

#include <algorithm>
#include <map>

#include "base/environment.h"
#include "base/file.h"

namespace bundle {
namespace {

constexpr std::uint64_t kMostFileBytes = 1u << 20;

std::string trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return std::string(text);
}

/// The profile's section of a configuration file; empty when there is none.
std::map<std::string, std::string> profile_of(const Path& file) {
  std::string profile = from_environment({"AWS_PROFILE"});
  if (profile.empty()) profile = "default";
  std::map<std::string, std::string> values;
  const auto text = read_file(file, kMostFileBytes);
  if (!text) return values;
  bool inside = false;
  for (std::size_t at = 0; at < text->size();) {
    const std::size_t end = std::min(text->find('\n', at), text->size());
    const std::string line = trimmed(std::string_view(*text).substr(at, end - at));
    at = end + 1;
    if (line.starts_with('[')) {
      inside = line == '[' + profile + ']' || line == "[profile " + profile + ']';
    } else if (const std::size_t equals = line.find('='); inside && equals != std::string::npos) {
      values[trimmed(line.substr(0, equals))] = trimmed(line.substr(equals + 1));
    }
  }
  return values;
}

/// The file that `variable` names, else ~/.aws/`usual`.
Path file_named(const char* variable, const char* usual) {
  const std::string named = from_environment({variable});
  return named.empty() ? Path(from_environment({"HOME"})) / ".aws" / usual : Path(named);
}

}  // namespace

AwsCredentials aws_credentials() {
  AwsCredentials keys{from_environment({"AWS_ACCESS_KEY_ID"}),
                      from_environment({"AWS_SECRET_ACCESS_KEY"}),
                      from_environment({"AWS_SESSION_TOKEN"})};
  if (!keys.empty()) return keys;
  auto values = profile_of(file_named("AWS_SHARED_CREDENTIALS_FILE", "credentials"));
  return {values["aws_access_key_id"], values["aws_secret_access_key"],
          values["aws_session_token"]};
}

std::string aws_region() {
  const std::string region = from_environment({"AWS_REGION", "AWS_DEFAULT_REGION"});
  return region.empty() ? profile_of(file_named("AWS_CONFIG_FILE", "config"))["region"] : region;
}

std::string aws_endpoint(const char* variable) {
  return from_environment({variable, "AWS_ENDPOINT_URL"});
}

const char* aws_domain(const std::string& region) {
  return region.starts_with("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com";
}

bool is_aws_region(const std::string& text) {
  return !text.empty() && text.size() <= 32 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

}  // namespace bundle
