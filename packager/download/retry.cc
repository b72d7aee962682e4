#include "packager/download/retry.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <thread>

#include "base/url.h"

namespace bundle::packager {
namespace {

constexpr int kMostRedirects = 5;
constexpr int kMostAttempts = 5;
constexpr std::chrono::seconds kStall{60};
constexpr std::chrono::milliseconds kConnect{15000};

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::chrono::milliseconds pause_after(const Result<HttpResponse>& result, int attempt) {
  const std::chrono::milliseconds own(200 << attempt);
  if (!result) return own;
  const std::string_view text = result->header("retry-after");
  int seconds = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || parsed.ec != std::errc()) return own;
  return std::chrono::seconds(std::clamp(seconds, 0, 30));
}

/// Waits in small steps, so that Ctrl-C is heard; false when it was.
bool wait(std::chrono::milliseconds time, const std::function<bool()>& go_on) {
  constexpr std::chrono::milliseconds kStep{50};
  for (; time.count() > 0; time -= kStep) {
    if (go_on && !go_on()) return false;
    std::this_thread::sleep_for(std::min(time, kStep));
  }
  return !go_on || go_on();
}

/// "bytes 0-99/1000" must be what was asked for.
bool is_range(std::string_view header, std::uint64_t offset, std::uint64_t length,
              std::uint64_t size) {
  return header == "bytes " + std::to_string(offset) + '-' + std::to_string(offset + length - 1) +
                       '/' + std::to_string(size);
}

/// One request for a part of a file, and what of the answer is handed on.
Result<HttpResponse> request_range(const SendHttp& send, const RemoteFile& file,
                                   std::uint64_t offset, std::uint64_t length,
                                   const TakeBytes& take) {
  HttpRequest request;
  request.url = file.url;
  request.headers = file.headers;
  const bool is_part = offset != 0 || length != file.size;
  if (is_part) {
    request.headers.emplace_back(
        "Range", "bytes=" + std::to_string(offset) + '-' + std::to_string(offset + length - 1));
  }
  std::uint64_t skip = 0;
  std::uint64_t left = length;
  bool is_whole = false;  // the server gives no ranges
  std::optional<Error> lie;
  const OnHttpHead on_head = [&](const HttpResponse& head) {
    is_whole = head.status == 200 && is_part;
    if (is_whole) skip = offset;
    if (head.status != 206 || is_range(head.header("content-range"), offset, length, file.size)) {
      return true;
    }
    lie = bad_input("the server gives another range than was asked for", file.name);
    return false;
  };
  const OnHttpData on_data = [&](std::string_view bytes) {
    const std::uint64_t skipped = std::min<std::uint64_t>(skip, bytes.size());
    skip -= skipped;
    bytes.remove_prefix(skipped);
    if (!is_whole) return take(bytes);
    const std::string_view wanted = bytes.substr(0, left);
    left -= wanted.size();
    return (wanted.empty() || take(wanted)) && left > 0;
  };
  auto response = send(std::move(request), on_data, on_head);
  if (lie) return *lie;
  if (!response && is_whole && left == 0) return HttpResponse{206, {}, {}};
  return response;
}

}  // namespace

Result<HttpResponse> send_following(HttpClient& client, HttpRequest request,
                                    const Authorization& authorization, const OnHttpData& on_data,
                                    const OnHttpHead& on_head) {
  request.stall_timeout = kStall;
  request.connect_timeout = kConnect;
  const auto headers = request.headers;
  const bool may_follow = request.method == "GET" || request.method == "HEAD";
  BUNDLE_TRY(Url url, parse_url(request.url));
  for (int hop = 0; hop <= kMostRedirects; ++hop) {
    request.url = url.text();
    request.headers = headers;
    if (url.origin() == authorization.origin && !authorization.value.empty()) {
      request.headers.emplace_back("Authorization", authorization.value);
    }
    BUNDLE_TRY(HttpResponse response, client.send(request, on_data, on_head));
    if (!is_redirect(response.status) || !may_follow) return response;
    BUNDLE_TRY(const Url next, resolve_url(url, response.header("location")));
    if (url.is_secure() && !next.is_secure()) {
      return Error{ErrorCode::kUnreachable,
                   "the server redirects to a connection that is not encrypted", next.origin()};
    }
    url = next;
  }
  return Error{ErrorCode::kUnreachable, "the server redirects in a circle", request.url};
}

bool is_passing(const Result<HttpResponse>& result) {
  if (!result) {
    return result.error().code == ErrorCode::kUnreachable &&
           result.error().what.starts_with("no answer");
  }
  const int status = result->status;
  return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

Result<HttpResponse> with_retries(const std::function<Result<HttpResponse>()>& attempt,
                                  const std::function<bool()>& go_on) {
  for (int n = 0;; ++n) {
    auto result = attempt();
    if (!is_passing(result) || n + 1 == kMostAttempts) return result;
    if (!wait(pause_after(result, n), go_on)) return result;
  }
}

Status fetch_range(const SendHttp& send, const ExplainAnswer& explain, const RemoteFile& file,
                   std::uint64_t offset, std::uint64_t length, const TakeBytes& take) {
  for (int attempt = 1;; ++attempt) {
    std::uint64_t got = 0;
    bool stopped = false;
    const auto response = request_range(send, file, offset, length, [&](std::string_view bytes) {
      got += bytes.size();
      stopped = !take(bytes);
      return !stopped;
    });
    if (stopped) return {};  // who takes the bytes knows why
    if (response && (response->status == 206 || response->status == 200)) return {};
    if (!is_passing(response) || attempt == kMostAttempts) {
      if (!response) return response.error();
      return explain(*response, file.name);
    }
    offset += got;  // what came is kept
    length -= std::min(got, length);
    if (length == 0) return {};
    std::this_thread::sleep_for(pause_after(response, attempt - 1));
  }
}

}  // namespace bundle::packager
