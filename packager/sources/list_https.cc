#include <charconv>
#include <memory>

#include "base/url.h"
#include "packager/sources/listing.h"

namespace bundle::packager::sources {
namespace {

Error explain_https(const HttpResponse& response, const std::string& where) {
  if (response.status == 404) return not_found("the server has no such file", where);
  return {ErrorCode::kUnreachable, "the server answers " + std::to_string(response.status), where};
}

SendHttp sender() {
  auto own = std::make_shared<HttpClient>();
  return [own](HttpRequest request, const OnHttpData& on_data, const OnHttpHead& on_head) {
    return send_following(*own, std::move(request), {}, on_data, on_head);
  };
}

}  // namespace

Result<Listing> list_https(const SourceUri& uri, const std::function<bool()>& go_on) {
  HttpRequest request;
  request.method = "HEAD";
  request.url = uri.repository;
  const SendHttp send = sender();
  BUNDLE_TRY(const HttpResponse response,
             with_retries([&] { return send(request, {}, {}); }, go_on));
  if (response.status != 200) return explain_https(response, uri.repository);
  ListedFile file;
  const std::string_view size = response.header("content-length");
  const auto parsed = std::from_chars(size.data(), size.data() + size.size(), file.size);
  if (size.empty() || parsed.ec != std::errc()) {
    return bad_input("the server does not say how large the file is", uri.repository);
  }
  file.name = uri.path;
  file.url = uri.repository;
  file.sha256 = uri.sha256;
  Listing listing;
  listing.name = uri.path.substr(0, uri.path.rfind('.'));
  listing.files.push_back(std::move(file));
  listing.make_sender = sender;
  listing.explain = explain_https;
  return listing;
}

}  // namespace bundle::packager::sources
