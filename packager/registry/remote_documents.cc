#include "packager/registry/remote_documents.h"

#include <algorithm>
#include <optional>

#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/oci.h"
#include "packager/received_bundle.h"
#include "packager/signing/cosign.h"

namespace bundle::packager::registry {
namespace {

const std::string& accepted() {
  static const std::string types = std::string(oci::kIndexType) + ", " +
                                   std::string(oci::kManifestType) +
                                   ", application/vnd.docker.distribution.manifest.list.v2+json"
                                   ", application/vnd.docker.distribution.manifest.v2+json";
  return types;
}

std::string place(Connection& connection, const std::string& target) {
  return connection.registry().host + '/' + connection.repository() + ' ' + target;
}

/// The media type in the text; the header is only what the registry says.
std::string media_type_of(std::string_view text, std::string_view header) {
  const auto document = parse_json(text, "");
  if (document) {
    const auto type = get_string_or(*document, "mediaType", "", "");
    if (type && !type->empty()) return *type;
  }
  return std::string(header.substr(0, header.find(';')));
}

/// A list of referrers, from the API or its stand-in.
std::vector<Descriptor> listed(std::string_view text) {
  const auto document = parse_json(text, "");
  if (!document) return {};
  auto found = oci::read_descriptors(*document, "manifests", "");
  return found ? *std::move(found) : std::vector<Descriptor>();
}

/// Fetches one referrer; nothing when it is unusable.
std::optional<RemoteReferrer> get_referrer(Connection& connection, const std::string& target,
                                           const std::string& subject,
                                           const std::function<bool()>& go_on) {
  auto manifest = get_manifest(connection, target, go_on);
  if (!manifest) return std::nullopt;
  auto referrer = read_referrer(manifest->descriptor, manifest->text, subject);
  if (!referrer) return std::nullopt;
  return RemoteReferrer{*std::move(referrer), std::move(manifest->text)};
}

}  // namespace

std::string referrers_tag(std::string_view digest) {
  return "sha256-" + std::string(digest.substr(7));
}

Result<RemoteManifest> get_manifest(Connection& connection, const std::string& target,
                                    const std::function<bool()>& go_on) {
  HttpRequest request;
  request.url = connection.url("/manifests/" + target).text();
  request.headers.emplace_back("Accept", accepted());
  request.max_body = oci::kMostDocumentBytes;
  BUNDLE_TRY(HttpResponse response,
             with_retries([&] { return connection.send(request, Access::kPull); }, go_on));
  const std::string where = place(connection, target);
  if (response.status == 404) {
    return not_found("the registry has no such bundle", where, "Check the name and the tag.");
  }
  if (response.status != 200) {
    return Connection::unexpected(response, "cannot fetch a manifest", where);
  }
  RemoteManifest manifest;
  manifest.text = std::move(response.body);
  manifest.descriptor = {media_type_of(manifest.text, response.header("content-type")),
                         "sha256:" + sha256_hex(manifest.text), manifest.text.size()};
  if (is_valid_digest(target) && manifest.descriptor.digest != target) {
    return bad_input("the registry gives another manifest than was asked for", where,
                     "Do not trust this registry.");
  }
  return manifest;
}

Result<std::string> get_blob(Connection& connection, const Descriptor& blob, std::uint64_t cap,
                             const std::function<bool()>& go_on) {
  if (blob.size > cap) return bad_input("a document is too large", blob.digest);
  HttpRequest request;
  request.url = connection.url("/blobs/" + blob.digest).text();
  request.max_body = blob.size;
  BUNDLE_TRY(HttpResponse response,
             with_retries([&] { return connection.send(request, Access::kPull); }, go_on));
  if (response.status != 200) {
    return Connection::unexpected(response, "cannot fetch a blob", place(connection, blob.digest));
  }
  BUNDLE_CHECK(check_text(blob, response.body));
  return std::move(response.body);
}

Result<std::vector<RemoteReferrer>> get_referrers(Connection& connection, const std::string& digest,
                                                  const std::function<bool()>& go_on) {
  HttpRequest request;
  request.url = connection.url("/referrers/" + digest).text();
  request.headers.emplace_back("Accept", std::string(oci::kIndexType));
  request.max_body = oci::kMostDocumentBytes;
  BUNDLE_TRY(const HttpResponse response,
             with_retries([&] { return connection.send(request, Access::kPull); }, go_on));
  std::vector<std::string> targets;
  std::vector<Descriptor> list;
  if (response.status == 200) {
    list = listed(response.body);
  } else if (const auto stand_in = get_manifest(connection, referrers_tag(digest), go_on)) {
    list = listed(stand_in->text);
  }
  for (const Descriptor& one : list) {
    if (targets.size() < kMostReferrers - 1) targets.push_back(one.digest);
  }
  targets.push_back(signing::cosign_tag(digest));
  std::vector<RemoteReferrer> found;
  for (const std::string& target : targets) {
    auto referrer = get_referrer(connection, target, digest, go_on);
    if (!referrer) continue;
    const bool is_known = std::ranges::any_of(found, [&](const RemoteReferrer& other) {
      return other.referrer.manifest.digest == referrer->referrer.manifest.digest;
    });
    if (!is_known) found.push_back(*std::move(referrer));
  }
  return found;
}

}  // namespace bundle::packager::registry
