#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <memory>

#include <boost/json/array.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/url.h"
#include "packager/sources/listing.h"

namespace bundle::packager::sources {
namespace {

constexpr std::uint64_t kMostListingBytes = 64u << 20;
constexpr std::size_t kMostFiles = 20'000;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.pop_back();
  }
  return text;
}

/// Where the hub's own tools keep the token.
std::string hub_token() {
  if (const std::string token = variable("HF_TOKEN"); !token.empty()) return token;
  Path file = variable("HF_TOKEN_PATH");
  if (file.empty()) {
    const std::string home = variable("HF_HOME");
    file =
        home.empty() ? Path(variable("HOME")) / ".cache/huggingface/token" : Path(home) / "token";
  }
  const auto text = read_file(file, 4096);
  return text ? trimmed(*text) : "";
}

Result<Url> endpoint() {
  const std::string given = variable("HF_ENDPOINT");
  return parse_url(given.empty() ? "https://huggingface.co/" : given);
}

Url at(const Url& base, const std::string& path) {
  Url url = base;
  while (url.path.ends_with('/')) url.path.pop_back();
  url.path += path;
  return url;
}

/// The hub says in a header why it refuses.
Error explain_hub(const HttpResponse& response, const std::string& repository,
                  const std::string& where, const std::string& page) {
  const std::string code(response.header("x-error-code"));
  if (code == "GatedRepo") {
    return {ErrorCode::kUnreachable, "the model " + repository + " is gated", where,
            "Accept its terms at " + page + ", then set HF_TOKEN to a token of that account."};
  }
  if (response.status == 401 || response.status == 403) {
    return {ErrorCode::kUnreachable,
            "the hub does not give " + repository + " to this user, or there is no such model",
            where, "Check the name; for a private model set HF_TOKEN."};
  }
  if (response.status == 404) {
    return not_found(std::string("the hub has no ") +
                         (code == "RevisionNotFound" ? "such revision of " : "") + repository,
                     where, "Check the name and the revision.");
  }
  return {ErrorCode::kUnreachable, "the hub answers " + std::to_string(response.status), where,
          "Try again later, or name a mirror in HF_ENDPOINT."};
}

std::string encode_path(const std::string& path) {
  std::string out;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t slash = std::min(path.find('/', start), path.size());
    out += '/' + percent_encode(path.substr(start, slash - start));
    start = slash + 1;
  }
  return out;
}

/// The file itself, or directly in the folder, that the source names.
bool is_wanted(const std::string& path, const std::string& under) {
  if (path == under) return true;
  const std::string prefix = under.empty() ? "" : under + '/';
  return path.starts_with(prefix) && path.find('/', prefix.size()) == std::string::npos;
}

Result<ListedFile> read_file_entry(const Json& entry, const std::string& path,
                                   const std::string& where) {
  ListedFile file;
  file.name = path.substr(path.rfind('/') + 1);
  BUNDLE_TRY(const std::int64_t size, get_int_or(entry, "size", -1, where));
  if (size < 0) return bad_input("the hub does not say how large '" + path + "' is", where);
  file.size = static_cast<std::uint64_t>(size);
  BUNDLE_TRY(file.git_sha1, get_string_or(entry, "blobId", "", where));
  if (const Json* lfs = find(entry, "lfs"); lfs != nullptr && lfs->is_object()) {
    BUNDLE_TRY(file.sha256, get_string_or(*lfs, "sha256", "", where));
    file.git_sha1.clear();  // of the pointer, not of the file
  }
  return file;
}

}  // namespace

Result<Listing> list_hub(const SourceUri& uri, const std::function<bool()>& go_on) {
  BUNDLE_TRY(const Url base, endpoint());
  const std::string token = hub_token();
  const Authorization authorization{base.origin(), token.empty() ? "" : "Bearer " + token};
  const std::string page = at(base, '/' + uri.repository).text();
  HttpRequest request;
  request.url = at(base, "/api/models/" + uri.repository + "/revision/" + uri.revision).text() +
                "?blobs=true";
  request.max_body = kMostListingBytes;
  HttpClient client;
  BUNDLE_TRY(const HttpResponse response,
             with_retries([&] { return send_following(client, request, authorization); }, go_on));
  if (response.status != 200) return explain_hub(response, uri.repository, request.url, page);
  BUNDLE_TRY(const Json document, parse_json(response.body, request.url));
  Listing listing;
  listing.name = uri.repository.substr(uri.repository.find('/') + 1);
  BUNDLE_TRY(listing.revision, get_string(document, "sha", request.url));
  const Json* siblings = find(document, "siblings");
  if (siblings == nullptr || !siblings->is_array() || siblings->get_array().size() > kMostFiles) {
    return bad_input("the hub's list of files is not usable", request.url);
  }
  for (const Json& entry : siblings->get_array()) {
    BUNDLE_TRY(const std::string path, get_string(entry, "rfilename", request.url));
    if (!is_wanted(path, uri.path)) continue;
    BUNDLE_TRY(ListedFile file, read_file_entry(entry, path, request.url));
    file.url = at(base, '/' + uri.repository + "/resolve/" + percent_encode(listing.revision) +
                            encode_path(path))
                   .text();
    listing.files.push_back(std::move(file));
  }
  listing.make_sender = [authorization]() -> SendHttp {
    auto own = std::make_shared<HttpClient>();
    return [own, authorization](HttpRequest one, const OnHttpData& on_data,
                                const OnHttpHead& on_head) {
      return send_following(*own, std::move(one), authorization, on_data, on_head);
    };
  };
  listing.explain = [repository = uri.repository, page](const HttpResponse& answer,
                                                        const std::string& name) {
    return explain_hub(answer, repository, name, page);
  };
  return listing;
}

}  // namespace bundle::packager::sources
