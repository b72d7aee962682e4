#include "packager/received_bundle.h"

#include <algorithm>
#include <map>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/oci.h"
#include "packager/store_index.h"
#include "packager/stored_bundle.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kMostManifests = 16;

Status note_blobs(const Json& manifest, const std::string& where,
                  std::map<std::string, Descriptor>& blobs) {
  BUNDLE_TRY(auto found, oci::read_descriptors(manifest, "layers", where));
  const Json* config = find(manifest, "config");
  if (config == nullptr) return bad_input("the manifest has no 'config'", where);
  BUNDLE_TRY(Descriptor descriptor, oci::read_descriptor(*config, where));
  if (descriptor.size > oci::kMostDocumentBytes) {
    return bad_input("a configuration is too large", where);
  }
  found.push_back(std::move(descriptor));
  for (Descriptor& blob : found) {
    const auto [known, is_new] = blobs.try_emplace(blob.digest, blob);
    if (!is_new && known->second.size != blob.size) {
      return bad_input("a blob is said to have two sizes", where);
    }
  }
  return {};
}

}  // namespace

Status check_text(const Descriptor& blob, std::string_view text) {
  if (text.size() == blob.size && "sha256:" + sha256_hex(text) == blob.digest) return {};
  return bad_input("a document does not have the digest that names it", blob.digest,
                   "What offers it is damaged or lies: do not trust it.");
}

Result<BundleDocuments> read_bundle_documents(const Descriptor& index, std::string text,
                                              const FetchDocument& fetch) {
  BUNDLE_CHECK(check_text(index, text));
  BUNDLE_TRY(const Json document, parse_json(text, index.digest));
  BUNDLE_TRY(const auto manifests, oci::read_descriptors(document, "manifests", index.digest));
  BUNDLE_TRY(const Descriptor image, image_of_index(document, index.digest));
  if (manifests.size() > kMostManifests) {
    return bad_input("the index names over 16 manifests", index.digest);
  }
  BundleDocuments documents;
  documents.version = oci::annotation(document, "org.opencontainers.image.version");
  std::map<std::string, Descriptor> blobs;
  const JsonArray& entries = document.at("manifests").get_array();
  for (std::size_t i = 0; i < manifests.size(); ++i) {
    const Descriptor& manifest = manifests[i];
    if (manifest.media_type != oci::kManifestType || manifest.size > oci::kMostDocumentBytes) {
      return bad_input("the index names something that is no manifest", index.digest);
    }
    BUNDLE_TRY(std::string manifest_text, fetch(manifest));
    BUNDLE_CHECK(check_text(manifest, manifest_text));
    BUNDLE_TRY(const Json parsed, parse_json(manifest_text, manifest.digest));
    BUNDLE_CHECK(note_blobs(parsed, manifest.digest, blobs));
    documents.manifests.push_back({manifest, std::move(manifest_text)});
    const std::string variant = oci::annotation(entries[i], oci::kVariant);
    if (is_variant_tag('-' + variant)) documents.variants.push_back({variant, manifest});
  }
  for (auto& [digest, blob] : blobs) documents.blobs.push_back(std::move(blob));
  documents.index = {index, std::move(text)};
  return documents;
}

Status finish_bundle(WriteSession& session, const BundleDocuments& documents,
                     const std::vector<Referrer>& referrers, const std::string& name,
                     const std::string& tag) {
  for (const BundleDocuments::Text& manifest : documents.manifests) {
    BUNDLE_CHECK(session.put(manifest.blob.media_type, manifest.text));
  }
  BUNDLE_CHECK(session.put(documents.index.blob.media_type, documents.index.text));
  IndexEntry entry;
  entry.descriptor = documents.index.blob;
  entry.name = name;
  entry.tag = tag;
  BUNDLE_CHECK(load_bundle(session.paths(), entry));
  for (const Referrer& referrer : referrers) {
    BUNDLE_CHECK(list_referrer(session.paths(), referrer));
  }
  return session.tag(name, tag, documents.index.blob, documents.variants);
}

}  // namespace bundle::packager
