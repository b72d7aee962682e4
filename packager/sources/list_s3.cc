#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <memory>

#include "base/file.h"
#include "base/sigv4.h"
#include "base/url.h"
#include "packager/sources/listing.h"

namespace bundle::packager::sources {
namespace {

constexpr std::uint64_t kMostListingBytes = 16u << 20;
constexpr std::size_t kMostPages = 100;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return std::string(text);
}

/// One section of an AWS configuration file.
std::map<std::string, std::string> profile_of(const Path& file, const std::string& profile) {
  std::map<std::string, std::string> values;
  const auto text = read_file(file, 1u << 20);
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

AwsCredentials aws_credentials() {
  AwsCredentials keys{variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"),
                      variable("AWS_SESSION_TOKEN")};
  if (!keys.empty()) return keys;
  std::string profile = variable("AWS_PROFILE");
  if (profile.empty()) profile = "default";
  Path file = variable("AWS_SHARED_CREDENTIALS_FILE");
  if (file.empty()) file = Path(variable("HOME")) / ".aws/credentials";
  auto values = profile_of(file, profile);
  return {values["aws_access_key_id"], values["aws_secret_access_key"],
          values["aws_session_token"]};
}

std::string aws_region() {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (const std::string region = variable(name); !region.empty()) return region;
  }
  return "us-east-1";
}

/// A bucket as requests reach it.
struct Bucket {
  Url base;  // path "/" or "/bucket/"
  AwsCredentials keys;
  std::string region;

  Url object(const std::string& key) const {
    Url url = base;
    for (std::size_t start = 0; start <= key.size();) {
      const std::size_t slash = std::min(key.find('/', start), key.size());
      url.path += (start == 0 ? "" : "/") + percent_encode(key.substr(start, slash - start));
      start = slash + 1;
    }
    return url;
  }
};

Result<Bucket> open_bucket(const std::string& name) {
  Bucket bucket;
  bucket.keys = aws_credentials();
  bucket.region = aws_region();
  std::string endpoint = variable("AWS_ENDPOINT_URL_S3");
  if (endpoint.empty()) endpoint = variable("AWS_ENDPOINT_URL");
  if (!endpoint.empty()) {
    BUNDLE_TRY(bucket.base, parse_url(endpoint));
    bucket.base.path = '/' + name + '/';
    return bucket;
  }
  // A name with dots does not fit S3's certificate.
  const std::string host = "s3." + bucket.region + ".amazonaws.com";
  const bool is_path_style = name.find('.') != std::string::npos;
  BUNDLE_TRY(bucket.base, parse_url(is_path_style ? "https://" + host + '/' + name + '/'
                                                  : "https://" + name + '.' + host + '/'));
  return bucket;
}

/// Signs what it sends; S3 does not redirect.
Result<HttpResponse> send_signed(HttpClient& client, const Bucket& bucket, HttpRequest request,
                                 const OnHttpData& on_data, const OnHttpHead& on_head) {
  BUNDLE_TRY(const Url url, parse_url(request.url));
  if (!bucket.keys.empty()) {
    for (auto& header : sign_aws_request(request.method, url, bucket.keys, bucket.region, "s3",
                                         std::chrono::system_clock::now())) {
      request.headers.push_back(std::move(header));
    }
  }
  return send_following(client, std::move(request), {}, on_data, on_head);
}

/// The texts of all <tag>…</tag> directly in a piece of S3's XML; it nests no tag in itself.
std::vector<std::string_view> elements(std::string_view xml, const std::string& tag) {
  std::vector<std::string_view> found;
  const std::string open = '<' + tag + '>';
  const std::string close = "</" + tag + '>';
  for (std::size_t at = xml.find(open); at != std::string_view::npos; at = xml.find(open, at)) {
    at += open.size();
    const std::size_t end = xml.find(close, at);
    if (end == std::string_view::npos) break;
    found.push_back(xml.substr(at, end - at));
    at = end;
  }
  return found;
}

std::string text_of(std::string_view xml, const std::string& tag) {
  const auto found = elements(xml, tag);
  if (found.empty()) return "";
  std::string text;
  std::string_view rest = found.front();
  const std::pair<std::string_view, char> kEntities[] = {{"&amp;", '&'},   {"&lt;", '<'},
                                                         {"&gt;", '>'},    {"&quot;", '"'},
                                                         {"&apos;", '\''}, {"&#34;", '"'}};
  while (!rest.empty()) {
    const auto entity = std::ranges::find_if(
        kEntities, [&](const auto& one) { return rest.starts_with(one.first); });
    const bool is_entity = entity != std::end(kEntities);
    text += is_entity ? entity->second : rest.front();
    rest.remove_prefix(is_entity ? entity->first.size() : 1);
  }
  return text;
}

bool is_md5(std::string_view etag) {
  return etag.size() == 32 && etag.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Error explain_s3(const HttpResponse& response, const std::string& where) {
  const std::string code = text_of(response.body, "Code");
  if (response.status == 404) return not_found("S3 has no such object or bucket", where);
  return {ErrorCode::kUnreachable,
          "S3 answers " + std::to_string(response.status) + (code.empty() ? "" : " " + code), where,
          response.status == 403 ? "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION to "
                                   "an account that may read it."
                                 : ""};
}

Result<ListedFile> read_object(std::string_view xml, const Bucket& bucket, const std::string& key,
                               const std::string& where) {
  ListedFile file;
  const std::string size = text_of(xml, "Size");
  const auto parsed = std::from_chars(size.data(), size.data() + size.size(), file.size);
  if (parsed.ec != std::errc()) return bad_input("S3's list of objects is not usable", where);
  file.name = key.substr(key.rfind('/') + 1);
  file.url = bucket.object(key).text();
  file.etag = text_of(xml, "ETag");
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
  BUNDLE_TRY(const Bucket bucket, open_bucket(uri.repository));
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
    for (const std::string_view xml : elements(response.body, "Contents")) {
      const std::string key = text_of(xml, "Key");
      if (!is_wanted(key, uri.path)) continue;
      BUNDLE_TRY(ListedFile file, read_object(xml, bucket, key, uri.text));
      listing.files.push_back(std::move(file));
    }
    continuation = text_of(response.body, "NextContinuationToken");
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
