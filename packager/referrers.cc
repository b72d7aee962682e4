#include "packager/referrers.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/oci.h"
#include "packager/store_index.h"
#include "packager/stored_bundle.h"

namespace bundle::packager {
namespace {

Json manifest_document(const NewReferrer& referrer, const Descriptor& config, JsonArray layers) {
  JsonObject document{{"schemaVersion", 2},
                      {"mediaType", oci::kManifestType},
                      {"artifactType", referrer.artifact_type},
                      {"config", oci::to_json(config)},
                      {"layers", std::move(layers)},
                      {"subject", oci::to_json(referrer.subject)}};
  if (!referrer.annotations.empty()) document["annotations"] = referrer.annotations;
  return document;
}

}  // namespace

Result<Referrer> read_referrer(const Descriptor& manifest, std::string_view text,
                               std::string_view subject) {
  Referrer referrer{manifest, {}, std::string(subject), {}, {}};
  BUNDLE_TRY(referrer.document, parse_json(text, manifest.digest));
  // cosign's older manifests name none: the tag under which they lie says it.
  if (const Json* named = find(referrer.document, "subject"); named != nullptr) {
    BUNDLE_TRY(const Descriptor descriptor, oci::read_descriptor(*named, manifest.digest));
    if (descriptor.digest != subject) {
      return bad_input("a referrer is about something else", manifest.digest);
    }
  }
  BUNDLE_TRY(referrer.artifact_type,
             get_string_or(referrer.document, "artifactType", "", manifest.digest));
  BUNDLE_TRY(referrer.layers, oci::read_descriptors(referrer.document, "layers", manifest.digest));
  return referrer;
}

Result<std::vector<Referrer>> referrers_of(const StorePaths& paths, std::string_view subject) {
  BUNDLE_TRY(const std::vector<IndexEntry> entries, read_index(paths));
  std::vector<Referrer> found;
  for (const IndexEntry& entry : entries) {
    if (entry.subject != subject || found.size() == kMostReferrers) continue;
    BUNDLE_TRY(const std::string text,
               read_checked_blob(paths, entry.descriptor, oci::kMostDocumentBytes));
    BUNDLE_TRY(Referrer referrer, read_referrer(entry.descriptor, text, subject));
    found.push_back(std::move(referrer));
  }
  return found;
}

Result<Descriptor> add_referrer(WriteSession& session, const NewReferrer& referrer) {
  JsonArray layers;
  for (const ReferrerLayer& layer : referrer.layers) {
    BUNDLE_TRY(const Descriptor blob, session.put(layer.media_type, layer.text));
    JsonObject document = oci::to_json(blob);
    if (!layer.annotations.empty()) document["annotations"] = layer.annotations;
    layers.push_back(std::move(document));
  }
  BUNDLE_TRY(const Descriptor config, session.put(referrer.config_type, referrer.config));
  const std::string text = print_json(manifest_document(referrer, config, std::move(layers)));
  BUNDLE_TRY(const Descriptor manifest, session.put(oci::kManifestType, text));
  BUNDLE_TRY(const Referrer written, read_referrer(manifest, text, referrer.subject.digest));
  BUNDLE_CHECK(list_referrer(session.paths(), written));
  return manifest;
}

Status list_referrer(const StorePaths& paths, const Referrer& referrer) {
  return list_in_index(paths, referrer.manifest, referrer.subject, referrer.artifact_type);
}

Status drop_referrers(const StorePaths& paths, const std::vector<std::string>& digests) {
  if (digests.empty()) return {};
  return drop_from_index(paths, [&](const IndexEntry& entry) {
    return !entry.subject.empty() &&
           std::ranges::find(digests, entry.descriptor.digest) != digests.end();
  });
}

}  // namespace bundle::packager
