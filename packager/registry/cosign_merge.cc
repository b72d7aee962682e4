#include "packager/registry/cosign_merge.h"

#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/oci.h"
#include "packager/signing/cosign.h"

namespace bundle::packager::registry {
namespace {

constexpr std::size_t kMostSignatures = 128;

/// One payload may be signed by many keys: payload and signature together are one signature.
std::string identity_of(const Json& layer) {
  const Json* digest = find(layer, "digest");
  if (digest == nullptr || !digest->is_string()) return "";
  return std::string(digest->get_string()) + ' ' +
         oci::annotation(layer, signing::kCosignAnnotation);
}

/// The layers that are signatures; nothing for a document that is no such manifest.
std::optional<JsonArray> signatures_of(const Json& manifest, std::string_view where) {
  const auto layers = oci::read_descriptors(manifest, "layers", where);
  if (!layers || layers->size() > kMostSignatures) return std::nullopt;
  const JsonArray& all = manifest.at("layers").get_array();
  for (std::size_t i = 0; i < layers->size(); ++i) {
    if ((*layers)[i].media_type != signing::kSimpleSigningType) return std::nullopt;
  }
  return all;
}

/// As signing writes it (signing/sign_bundle.cc): no time, no platform.
std::string config_of(const JsonArray& layers) {
  JsonArray ids;
  for (const Json& layer : layers) ids.push_back(layer.at("digest"));
  return print_json(
      JsonObject{{"architecture", ""},
                 {"os", ""},
                 {"config", JsonObject()},
                 {"rootfs", JsonObject{{"type", "layers"}, {"diff_ids", std::move(ids)}}}});
}

}  // namespace

Result<std::optional<MergedSignatures>> merge_signatures(std::string_view theirs,
                                                         std::string_view ours) {
  BUNDLE_TRY(Json document, parse_json(ours, "signatures"));
  auto own = signatures_of(document, "signatures");
  if (!own) return bad_input("the manifest of signatures holds something else");
  const auto other = parse_json(theirs, "the registry's signatures");
  const auto there = other ? signatures_of(*other, "the registry's signatures") : std::nullopt;
  if (!there) return std::optional<MergedSignatures>();
  std::set<std::string> known;
  for (const Json& layer : *own) known.insert(identity_of(layer));
  bool is_new = false;
  for (const Json& layer : *there) {
    if (!known.insert(identity_of(layer)).second) continue;
    own->push_back(layer);
    is_new = true;
  }
  if (!is_new) return std::optional<MergedSignatures>();
  MergedSignatures merged{config_of(*own), {}};
  const Descriptor config{std::string(oci::kConfigType), "sha256:" + sha256_hex(merged.config),
                          merged.config.size()};
  document.as_object()["config"] = oci::to_json(config);
  document.as_object()["layers"] = std::move(*own);
  merged.manifest = print_json(document);
  return std::optional(std::move(merged));
}

}  // namespace bundle::packager::registry
