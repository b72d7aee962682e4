#include "cloud/aws/source_bucket.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/xml.h"
#include "cloud/aws/stack_template.h"

namespace bundle::cloud {
namespace {

constexpr std::uint64_t kMostListBytes = 16u << 20;
constexpr std::size_t kMostPages = 1000;
constexpr std::uint64_t kPart = 64u << 20;
constexpr std::uint64_t kMostParts = 10'000;
constexpr int kAttempts = 4;
constexpr std::chrono::seconds kStall{60};

Error explain_s3(const HttpResponse& response, const std::string& action,
                 const std::string& where) {
  const auto xml = parse_xml(response.body, where);
  const std::string code = xml ? show_controls(xml->child_text("Code")) : "";
  const std::string said = std::to_string(response.status) + (code.empty() ? "" : " " + code);
  if (response.status == 404) {
    return not_found("S3 answers " + action + " with " + said, where,
                     "Make the bucket of aws.source, in the region of the stack.");
  }
  return {ErrorCode::kUnreachable, "S3 answers " + action + " with " + said, where,
          response.status == 403
              ? "Allow " + action +
                    " on it to this user or role, or copy the files yourself and set "
                    "aws.upload: false."
              : "Is the bucket in the region of the stack?"};
}

/// Signs and sends, a lost connection or a busy service up to four times.
Result<HttpResponse> send(const S3Bucket& bucket, const HttpRequest& request,
                          const std::string& body_sha256,
                          const std::function<FillHttpBody()>& make_body = {}) {
  for (int attempt = 1;; ++attempt) {
    HttpRequest own = request;
    own.stall_timeout = kStall;
    if (make_body) own.fill_body = make_body();
    BUNDLE_CHECK(sign_s3_request(bucket, own, body_sha256));
    auto response = http_request(own);
    const bool may_pass = response ? response->status >= 500 || response->status == 429
                                   : response.error().code == ErrorCode::kUnreachable;
    if (!may_pass || attempt == kAttempts) return response;
    std::this_thread::sleep_for(std::chrono::milliseconds(300 << attempt));
  }
}

/// Key and size of every object below the prefix.
Result<std::map<std::string, std::uint64_t>> list_objects(const S3Bucket& bucket,
                                                          const std::string& prefix) {
  std::map<std::string, std::uint64_t> found;
  std::set<std::string> tokens;
  std::string token;
  do {
    Url url = bucket.base;
    url.query = "list-type=2&prefix=" + percent_encode(prefix + "/");
    if (!token.empty()) url.query += "&continuation-token=" + percent_encode(token);
    HttpRequest request;
    request.url = url.text();
    request.max_body = kMostListBytes;
    BUNDLE_TRY(const HttpResponse response, send(bucket, request, ""));
    if (response.status != 200) return explain_s3(response, "s3:ListBucket", bucket.base.text());
    BUNDLE_TRY(const XmlNode page, parse_xml(response.body, url.text()));
    for (const XmlNode& object : page.children) {
      if (object.name != "Contents") continue;
      const std::string size = object.child_text("Size");
      std::uint64_t bytes = 0;
      if (std::from_chars(size.data(), size.data() + size.size(), bytes).ec != std::errc()) {
        return bad_input("S3's list of objects is not usable", url.text());
      }
      found[object.child_text("Key")] = bytes;
    }
    token = page.child_text("NextContinuationToken");
    if (!token.empty() && (!tokens.insert(token).second || tokens.size() > kMostPages)) {
      return bad_input("the pages of S3's list do not end", bucket.base.text());
    }
  } while (!token.empty());
  return found;
}

/// A request body that is a piece of memory.
std::function<FillHttpBody()> body_of(Bytes bytes) {
  return [bytes] {
    return [bytes, sent = std::size_t{0}](char* buffer, std::size_t room) mutable {
      const std::size_t count = std::min(room, bytes.size() - sent);
      std::memcpy(buffer, bytes.data() + sent, count);
      sent += count;
      return count;
    };
  };
}

/// PUT of one object or part; gives its ETag.
Result<std::string> put(const S3Bucket& bucket, const Url& url, Bytes bytes,
                        const std::string& sha256) {
  HttpRequest request;
  request.method = "PUT";
  request.url = url.text();
  request.body_size = bytes.size();
  BUNDLE_TRY(const HttpResponse response, send(bucket, request, sha256, body_of(bytes)));
  if (response.status != 200) return explain_s3(response, "s3:PutObject", url.text());
  return std::string(response.header("etag"));
}

/// Counts what has been sent, over all files.
class Meter {
 public:
  Meter(std::uint64_t total, const Progress& progress) : total_(total), progress_(progress) {}
  Status add(std::uint64_t bytes, const std::string& name) {
    done_ += bytes;
    if (!progress_ || progress_("uploading " + name, done_, total_)) return {};
    return Error{ErrorCode::kInterrupted, "stopped while files were uploaded"};
  }

 private:
  std::uint64_t total_;
  const Progress& progress_;
  std::uint64_t done_ = 0;
};

/// POST with a small body; gives the answer's document.
Result<XmlNode> post(const S3Bucket& bucket, const Url& url, const std::string& body) {
  HttpRequest request;
  request.method = "POST";
  request.url = url.text();
  request.body = body;
  BUNDLE_TRY(const HttpResponse response, send(bucket, request, sha256_hex(body)));
  if (response.status != 200) return explain_s3(response, "s3:PutObject", url.text());
  BUNDLE_TRY(XmlNode xml, parse_xml(response.body, url.text()));
  // S3 may begin an answer with 200 and fail after.
  if (xml.name == "Error") return failed("S3 answers " + show_controls(xml.child_text("Code")));
  return xml;
}

/// Sends the parts and names them in the list that ends an upload.
Result<std::string> put_parts(const S3Bucket& bucket, const Url& object, const std::string& upload,
                              const MappedFile& file, Meter& meter) {
  const Bytes all = file.bytes();
  const std::uint64_t size = std::max(kPart, all.size() / kMostParts + 1);
  std::string parts = "<CompleteMultipartUpload>";
  int number = 1;
  for (std::uint64_t at = 0; at < all.size(); at += size, ++number) {
    const Bytes piece = all.subspan(at, std::min<std::uint64_t>(size, all.size() - at));
    Url url = object;
    url.query = "partNumber=" + std::to_string(number) + "&uploadId=" + percent_encode(upload);
    BUNDLE_TRY(const std::string etag, put(bucket, url, piece, sha256_hex(piece)));
    file.drop(piece);
    parts += "<Part><PartNumber>" + std::to_string(number) + "</PartNumber><ETag>" +
             escape_markup(etag) + "</ETag></Part>";
    BUNDLE_CHECK(meter.add(piece.size(), object.path.substr(object.path.rfind('/') + 1)));
  }
  return parts + "</CompleteMultipartUpload>";
}

Status put_in_parts(const S3Bucket& bucket, const Url& object, const MappedFile& file,
                    Meter& meter) {
  Url url = object;
  url.query = "uploads=";
  BUNDLE_TRY(const XmlNode begun, post(bucket, url, ""));
  const std::string upload = begun.child_text("UploadId");
  if (upload.empty()) return bad_input("S3 began an upload without an id", object.text());
  url.query = "uploadId=" + percent_encode(upload);
  auto parts = put_parts(bucket, object, upload, file, meter);
  auto done = parts ? post(bucket, url, *parts) : Result<XmlNode>(parts.error());
  if (done) return {};
  HttpRequest abort;
  abort.method = "DELETE";
  abort.url = url.text();
  (void)send(bucket, abort, "");  // the first error is the one to tell
  return done.error();
}

Status put_file(const MissingFiles& missing, const HostFile& file, const std::string& key,
                Meter& meter) {
  const Url url = missing.bucket.object(key);
  BUNDLE_TRY(const MappedFile map, MappedFile::open(file.path));
  if (map.bytes().size() > kPart) return put_in_parts(missing.bucket, url, map, meter);
  BUNDLE_CHECK(put(missing.bucket, url, map.bytes(), file.sha256));
  return meter.add(map.bytes().size(), Path(file.path).filename().string());
}

}  // namespace

Result<MissingFiles> find_missing_files(const AwsAccess& access, const std::string& source,
                                        const HostForm& form) {
  MissingFiles missing;
  const std::string place = source.substr(std::strlen("s3://"));
  missing.source = source;
  const std::string prefix = place.substr(place.find('/') + 1);
  BUNDLE_TRY(missing.bucket, open_s3_bucket(place.substr(0, place.find('/')), access.region));
  BUNDLE_TRY(const auto there, list_objects(missing.bucket, prefix));
  const auto has = [&](const std::string& key, std::uint64_t size) {
    const auto found = there.find(key);
    return found != there.end() && found->second == size;
  };
  for (const auto& [file, path] : form.files) {
    const std::string key = prefix + "/" + path_in_source(path);
    if (has(key, file.size)) continue;
    missing.files.emplace_back(file, key);
    missing.bytes += file.size;
  }
  for (const HostText& text : form.texts) {
    const std::string key = prefix + "/" + path_in_source(text.path);
    if (has(key, text.text.size())) continue;
    missing.texts.emplace_back(key, text.text);
    missing.bytes += text.text.size();
  }
  return missing;
}

Status upload_files(const MissingFiles& missing, const Progress& progress) {
  Meter meter(missing.bytes, progress);
  for (const auto& [file, key] : missing.files) BUNDLE_CHECK(put_file(missing, file, key, meter));
  for (const auto& [key, text] : missing.texts) {
    BUNDLE_CHECK(put(missing.bucket, missing.bucket.object(key), as_bytes(text), sha256_hex(text)));
    BUNDLE_CHECK(meter.add(text.size(), Path(key).filename().string()));
  }
  return {};
}

}  // namespace bundle::cloud
