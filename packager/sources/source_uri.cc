#include "packager/sources/source_uri.h"

#include <algorithm>
#include <cctype>

#include "base/url.h"
#include "packager/reference.h"

namespace bundle::packager::sources {
namespace {

Error wrong(std::string_view text, const char* form) {
  return {ErrorCode::kUsage,
          "'" + std::string(text.substr(0, 200)) + "' does not name a model that can be fetched",
          "", std::string("Write ") + form + "."};
}

constexpr const char* kHubForm = "hf://ORG/NAME, hf://ORG/NAME@REVISION or hf://ORG/NAME/FILE.gguf";
constexpr const char* kHttpsForm = "https://HOST/FILE.gguf#sha256=HEX";
constexpr const char* kS3Form = "s3://BUCKET/FOLDER/ or s3://BUCKET/FILE.gguf";

/// Names as the hub allows them; they become parts of addresses and folders.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name != "." && name != ".." &&
         std::ranges::all_of(name, [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
         });
}

bool is_path(std::string_view path) {
  return path.size() <= 512 && path.find("..") == std::string_view::npos &&
         path.find("//") == std::string_view::npos &&
         std::ranges::all_of(path,
                             [](unsigned char c) { return c > 0x20 && c < 0x7f && c != '\\'; });
}

/// A key of S3 may hold any character; it goes into addresses percent-encoded.
bool is_key(std::string_view key) {
  return key.size() <= 1024 && key.find("//") == std::string_view::npos &&
         std::ranges::none_of(key, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

Result<SourceUri> parse_hub(std::string_view text) {
  std::string_view rest = text.substr(5);
  const std::size_t first = rest.find('/');
  if (first == std::string_view::npos) return wrong(text, kHubForm);
  const std::size_t second = std::min(rest.find('/', first + 1), rest.size());
  SourceUri uri{SourceKind::kHub, std::string(text), {}, "main", {}, {}};
  std::string_view name = rest.substr(first + 1, second - first - 1);
  if (const std::size_t at = name.find('@'); at != std::string_view::npos) {
    uri.revision = name.substr(at + 1);
    name = name.substr(0, at);
  }
  if (second < rest.size()) uri.path = rest.substr(second + 1);
  while (uri.path.ends_with('/')) uri.path.pop_back();
  if (!is_name(rest.substr(0, first)) || !is_name(name) || !is_name(uri.revision) ||
      !is_path(uri.path)) {
    return wrong(text, kHubForm);
  }
  uri.repository = std::string(rest.substr(0, first)) + '/' + std::string(name);
  return uri;
}

Result<SourceUri> parse_https(std::string_view text) {
  const std::size_t hash = text.find("#sha256=");
  if (hash == std::string_view::npos) {
    return Error{ErrorCode::kUsage, "an https source needs the file's SHA-256",
                 std::string(text.substr(0, 200)), std::string("Write ") + kHttpsForm + "."};
  }
  SourceUri uri{SourceKind::kHttps,
                std::string(text),
                std::string(text.substr(0, hash)),
                {},
                {},
                std::string(text.substr(hash + 8))};
  if (!is_valid_digest("sha256:" + uri.sha256)) return wrong(text, kHttpsForm);
  BUNDLE_TRY(const Url url, parse_url(uri.repository));
  // On this machine alone, plain http is as good.
  if (!url.is_secure() && !is_loopback(url)) return wrong(text, kHttpsForm);
  uri.path = url.path.substr(url.path.rfind('/') + 1);
  if (!is_name(uri.path)) return wrong(text, kHttpsForm);
  return uri;
}

Result<SourceUri> parse_s3(std::string_view text) {
  const std::string_view rest = text.substr(5);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  SourceUri uri{SourceKind::kS3, std::string(text), std::string(rest.substr(0, slash)), {}, {}, {}};
  if (slash < rest.size()) uri.path = rest.substr(slash + 1);
  if (!is_name(uri.repository) || !is_key(uri.path)) return wrong(text, kS3Form);
  return uri;
}

}  // namespace

bool is_source_uri(std::string_view text) { return text.find("://") != std::string_view::npos; }

Result<SourceUri> parse_source_uri(std::string_view text) {
  if (text.starts_with("hf://")) return parse_hub(text);
  if (text.starts_with("https://") || text.starts_with("http://")) return parse_https(text);
  if (text.starts_with("s3://")) return parse_s3(text);
  if (text.starts_with("oci://")) {
    return SourceUri{SourceKind::kOci, std::string(text), std::string(text.substr(6)), {}, {}, {}};
  }
  return wrong(text, "hf://…, https://…, s3://…, oci://… or a path");
}

}  // namespace bundle::packager::sources
