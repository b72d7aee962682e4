#include "packager/registry/token_source.h"

#include <algorithm>
#include <cctype>

#include "base/base64.h"
#include "base/json.h"

namespace bundle::packager::registry {
namespace {

constexpr std::uint64_t kMostTokenBytes = 1u << 20;
constexpr std::chrono::seconds kTokenLimit{30};

std::string lower(std::string_view text) {
  std::string copy(text);
  for (char& c : copy) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return copy;
}

void skip(std::string_view& text, std::string_view characters) {
  text.remove_prefix(std::min(text.find_first_not_of(characters), text.size()));
}

/// A token or a quoted string, taken off the front.
std::string take_value(std::string_view& text) {
  std::string value;
  if (text.empty() || text.front() != '"') {
    const std::size_t end = std::min(text.find_first_of(", "), text.size());
    value = text.substr(0, end);
    text.remove_prefix(end);
    return value;
  }
  text.remove_prefix(1);
  while (!text.empty() && text.front() != '"') {
    if (text.front() == '\\' && text.size() > 1) text.remove_prefix(1);
    value += text.front();
    text.remove_prefix(1);
  }
  if (!text.empty()) text.remove_prefix(1);
  return value;
}

/// The last two labels of a host name; the host itself for an address.
std::string_view domain_of(std::string_view host) {
  if (host.find_first_not_of("0123456789.") == std::string_view::npos || host.front() == '[') {
    return host;
  }
  const std::size_t last = host.rfind('.');
  if (last == std::string_view::npos || last == 0) return host;
  const std::size_t before = host.rfind('.', last - 1);
  return before == std::string_view::npos ? host : host.substr(before + 1);
}

/// A token becomes part of a header.
bool is_clean_token(std::string_view token) {
  return !token.empty() && token.size() <= 64u << 10 &&
         std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string basic(const Credentials& credentials) {
  return "Basic " + base64_encode(credentials.user + ':' + credentials.password);
}

std::string with_query(const Url& realm, const std::string& more) {
  Url url = realm;
  url.query += (url.query.empty() ? "" : "&") + more;
  return url.text();
}

Result<std::string> token_in(const HttpResponse& response, const std::string& where) {
  BUNDLE_TRY(const Json document, parse_json(response.body, where));
  BUNDLE_TRY(std::string token, get_string_or(document, "token", "", where));
  if (token.empty()) {
    BUNDLE_TRY(token, get_string_or(document, "access_token", "", where));
  }
  if (!is_clean_token(token)) return bad_input("the registry gave no usable token", where);
  return token;
}

}  // namespace

Challenge parse_challenge(std::string_view header) {
  Challenge challenge;
  const std::size_t blank = std::min(header.find(' '), header.size());
  challenge.scheme = lower(header.substr(0, blank));
  if (challenge.scheme != "bearer" && challenge.scheme != "basic") return {};
  std::string_view rest = header.substr(blank);
  for (skip(rest, ", "); !rest.empty(); skip(rest, ", ")) {
    const std::size_t equals = rest.find('=');
    if (equals == std::string_view::npos) break;
    const std::string name = lower(rest.substr(0, equals));
    rest.remove_prefix(equals + 1);
    challenge.parameters[name] = take_value(rest);
  }
  return challenge;
}

bool may_receive_password(const Url& registry, const Url& realm,
                          const std::vector<std::string>& allowed) {
  if (realm.origin() == registry.origin()) return true;
  if (!realm.is_secure()) return false;
  if (std::ranges::find(allowed, realm.host) != allowed.end()) return true;
  return registry.is_secure() && domain_of(realm.host) == domain_of(registry.host) &&
         domain_of(realm.host).find('.') != std::string_view::npos;
}

std::string TokenSource::header(const std::string& scope) const {
  const std::lock_guard lock(mutex_);
  const auto found = headers_.find(scope);
  return found == headers_.end() ? "" : found->second;
}

Error TokenSource::refused() const {
  if (credentials_.empty()) {
    return {ErrorCode::kUnreachable, "the registry asks for a user and password",
            registry_.origin(),
            "Log in with 'docker login' or 'podman login', or name a file with --auth-file."};
  }
  return {ErrorCode::kUnreachable, "the registry refuses the user or password", registry_.origin(),
          "Log in again, and ask whether the account may do this."};
}

Status TokenSource::answer(const HttpResponse& refusal, const std::string& scope,
                           HttpClient& client) {
  Challenge challenge;
  for (const auto& [name, value] : refusal.headers) {
    if (name != "www-authenticate") continue;
    Challenge one = parse_challenge(value);
    if (challenge.scheme.empty() || one.scheme == "bearer") challenge = std::move(one);
  }
  std::string value;
  if (challenge.scheme == "bearer") {
    BUNDLE_TRY(const std::string token, fetch_token(challenge, scope, client));
    value = "Bearer " + token;
  } else {
    if (challenge.scheme.empty() || credentials_.user.empty()) return refused();
    value = basic(credentials_);
  }
  const std::lock_guard lock(mutex_);
  if (headers_[scope] == value) return refused();
  headers_[scope] = value;
  return {};
}

Result<std::string> TokenSource::fetch_token(const Challenge& challenge, const std::string& scope,
                                             HttpClient& client) const {
  const auto realm_text = challenge.parameters.find("realm");
  if (realm_text == challenge.parameters.end()) return refused();
  BUNDLE_TRY(const Url realm, parse_url(realm_text->second));
  if (!realm.is_secure() && registry_.is_secure()) {
    return failed("the registry sends for tokens over a connection that is not encrypted",
                  realm.origin());
  }
  if (!credentials_.empty() && !may_receive_password(registry_, realm, options_.token_hosts)) {
    return failed(
        "the registry " + registry_.origin() + " wants its password sent to " + realm.origin(), "",
        "If that is right, allow it with --token-host " + realm.host + ".");
  }
  const auto service = challenge.parameters.find("service");
  std::string query = "scope=" + percent_encode(scope);
  if (service != challenge.parameters.end()) {
    query = "service=" + percent_encode(service->second) + '&' + query;
  }
  HttpRequest request;
  request.ca_file = options_.ca_file.string();
  request.timeout = kTokenLimit;
  request.max_body = kMostTokenBytes;
  if (!credentials_.identity_token.empty()) {
    request.method = "POST";
    request.url = realm.text();
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request.body = query + "&grant_type=refresh_token&client_id=bundle&refresh_token=" +
                   percent_encode(credentials_.identity_token);
  } else {
    request.url = with_query(realm, query);
    if (!credentials_.empty()) request.headers.emplace_back("Authorization", basic(credentials_));
  }
  BUNDLE_TRY(const HttpResponse response, client.send(request));
  if (response.status != 200) return refused();
  return token_in(response, realm.origin());
}

}  // namespace bundle::packager::registry
