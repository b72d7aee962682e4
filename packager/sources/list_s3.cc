#include <algorithm>
#include <charconv>
#include <memory>

#include "base/s3_bucket.h"
#include "base/text.h"
#include "base/url.h"
#include "base/xml.h"
#include "packager/sources/listing.h"

namespace bundle::packager::sources {
namespace {

constexpr std::uint64_t kMostListingBytes = 16u << 20;
constexpr std::size_t kMostPages = 100;

/// Signs what it sends; S3 does not redirect.
Result<HttpResponse> send_signed(HttpClient& client, const S3Bucket& bucket, HttpRequest request,
                                 const OnHttpData& on_data, const OnHttpHead& on_head) {
  BUNDLE_CHECK(sign_s3_request(bucket, request));
  return send_following(client, std::move(request), {}, on_data, on_head);
}

bool is_md5(std::string_view etag) {
  return etag.size() == 32 && etag.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Error explain_s3(const HttpResponse& response, const std::string& where) {
  const auto xml = parse_xml(response.body, where);  // an answer to HEAD has none
  const std::string code = xml ? show_controls(xml->child_text("Code")) : "";
  if (response.status == 404) return not_found("S3 has no such object or bucket", where);
  return {ErrorCode::kUnreachable,
          "S3 answers " + std::to_string(response.status) + (code.empty() ? "" : " " + code), where,
          response.status == 403 ? "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION to "
                                   "an account that may read it."
                                 : ""};
}

Result<ListedFile> read_object(const XmlNode& xml, const S3Bucket& bucket, const std::string& key,
                               const std::string& where) {
  ListedFile file;
  const std::string size = xml.child_text("Size");
  const auto parsed = std::from_chars(size.data(), size.data() + size.size(), file.size);
  if (parsed.ec != std::errc()) return bad_input("S3's list of objects is not usable", where);
  file.name = key.substr(key.rfind('/') + 1);
  file.url = bucket.object(key).text();
  file.etag = xml.child_text("ETag");
  std::string bare = file.etag;
  std::erase(bare, '"');
  if (is_md5(bare)) file.md5 = bare;
  return file;
}

/// The object itself, or those directly in the folder.
bool is_wanted(const std::string& key, const std::string& prefix) {
  if (key.ends_with('/')) return false;
  if (key == prefix) return true;
  const std::string folder = prefix.empty() || prefix.ends_with('/') ? prefix : prefix + '/';
  return key.starts_with(folder) && key.find('/', folder.size()) == std::string::npos;
}

}  // namespace

Result<Listing> list_s3(const SourceUri& uri, const std::function<bool()>& go_on) {
  BUNDLE_TRY(const S3Bucket bucket, open_s3_bucket(uri.repository));
  Listing listing;
  std::string folder = uri.path;
  while (folder.ends_with('/')) folder.pop_back();
  listing.name = folder.empty() ? uri.repository : folder.substr(folder.rfind('/') + 1);
  HttpClient client;
  std::string continuation;
  for (std::size_t page = 0; page < kMostPages; ++page) {
    Url url = bucket.base;
    url.query = "list-type=2&prefix=" + percent_encode(uri.path);
    if (!continuation.empty()) url.query += "&continuation-token=" + percent_encode(continuation);
    HttpRequest request;
    request.url = url.text();
    request.max_body = kMostListingBytes;
    BUNDLE_TRY(const HttpResponse response,
               with_retries([&] { return send_signed(client, bucket, request, {}, {}); }, go_on));
    if (response.status != 200) return explain_s3(response, uri.text);
    BUNDLE_TRY(const XmlNode page_list, parse_xml(response.body, uri.text));
    for (const XmlNode& object : page_list.children) {
      if (object.name != "Contents") continue;
      const std::string key = object.child_text("Key");
      if (!is_wanted(key, uri.path)) continue;
      BUNDLE_TRY(ListedFile file, read_object(object, bucket, key, uri.text));
      listing.files.push_back(std::move(file));
    }
    continuation = page_list.child_text("NextContinuationToken");
    if (continuation.empty()) break;
  }
  listing.make_sender = [bucket]() -> SendHttp {
    auto own = std::make_shared<HttpClient>();
    return
        [own, bucket](HttpRequest request, const OnHttpData& on_data, const OnHttpHead& on_head) {
          return send_signed(*own, bucket, std::move(request), on_data, on_head);
        };
  };
  listing.explain = [](const HttpResponse& response, const std::string& name) {
    return explain_s3(response, name);
  };
  return listing;
}

}  // namespace bundle::packager::sources
