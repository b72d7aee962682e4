// Requests that may be tried again, redirects that must not carry a secret away, and parts of
// files.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/http_client.h"
#include "base/result.h"
#include "packager/download/range_download.h"

namespace bundle::packager {

/// A secret header and the one origin ("https://host") that may see it.
struct Authorization {
  std::string origin;
  std::string value;  // of the Authorization header; "" for none
};

/// One request; redirects of GET and HEAD are followed up to 5 times, never from https to http. The
/// authorization goes to its own origin alone. kUnreachable for a circle.
Result<HttpResponse> send_following(HttpClient& client, HttpRequest request,
                                    const Authorization& authorization,
                                    const OnHttpData& on_data = {}, const OnHttpHead& on_head = {});

/// Whether trying again may help: no connection, 429, 500, 502, 503, 504.
bool is_passing(const Result<HttpResponse>& result);

/// Runs `attempt` until its result is not a passing failure, at most 5 times, waiting in between as
/// Retry-After asks (at most 30 s) or 0.2, 0.4, … s. `go_on` false ends with the last result.
Result<HttpResponse> with_retries(const std::function<Result<HttpResponse>()>& attempt,
                                  const std::function<bool()>& go_on);

/// A file somewhere, of known size.
struct RemoteFile {
  std::string name;  // for people
  std::string url;
  std::uint64_t size = 0;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// How a request is sent: with its authorization, along redirects.
using SendHttp = std::function<Result<HttpResponse>(HttpRequest request, const OnHttpData& on_data,
                                                    const OnHttpHead& on_head)>;
/// The error that an answer means that is none of 200 and 206.
using ExplainAnswer = std::function<Error(const HttpResponse& response, const std::string& name)>;

/// Fetches [offset, offset + length), going on where a connection breaks. A server without ranges
/// is read from the start. kBadInput when it gives another range than was asked for.
Status fetch_range(const SendHttp& send, const ExplainAnswer& explain, const RemoteFile& file,
                   std::uint64_t offset, std::uint64_t length, const TakeBytes& take);

}  // namespace bundle::packager
