#include "packager/inspect.h"

#include <algorithm>
#include <initializer_list>
#include <tuple>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/attestations.h"
#include "packager/oci.h"
#include "packager/quality_report.h"
#include "packager/referrers.h"
#include "packager/stored_bundle.h"
#include "runtime/format/checkpoint.h"

namespace bundle::packager {
namespace {

/// Layers that hold hundreds of files are told by their number.
constexpr std::size_t kMostListedFiles = 200;

Json layer_document(const StoredLayer& layer) {
  JsonArray files;
  for (std::size_t i = 0; i < layer.files.size() && i < kMostListedFiles; ++i) {
    files.emplace_back(layer.files[i]);
  }
  return JsonObject{{"role", role_name(layer.role)},
                    {"digest", layer.descriptor.digest},
                    {"size", static_cast<std::int64_t>(layer.descriptor.size)},
                    {"media_type", layer.descriptor.media_type},
                    {"num_files", static_cast<std::int64_t>(layer.files.size())},
                    {"files", std::move(files)}};
}

std::uint64_t bytes_of(const StoredBundle& bundle, LayerRole role) {
  std::uint64_t bytes = 0;
  for (const StoredLayer& layer : bundle.layers) {
    if (layer.role == role) bytes += layer.descriptor.size;
  }
  return bytes;
}

Json sizes_document(const StoredBundle& bundle) {
  JsonObject sizes{{"total", static_cast<std::int64_t>(bundle.size)}};
  for (const LayerRole role :
       {LayerRole::kWeights, LayerRole::kConfig, LayerRole::kShell, LayerRole::kRuntime}) {
    if (role == LayerRole::kShell && bytes_of(bundle, role) == 0) continue;
    sizes[role_name(role)] = static_cast<std::int64_t>(bytes_of(bundle, role));
  }
  return sizes;
}

Json files_document(const StoredBundle& bundle) {
  JsonArray files;
  for (const format::SourceFile& file : bundle.model.files()) {
    files.push_back(JsonObject{{"name", file.name},
                               {"size", static_cast<std::int64_t>(file.length)},
                               {"sha256", file.sha256}});
  }
  return files;
}

Json variants_document(const StoredBundle& bundle) {
  JsonArray variants;
  const Json* manifests = find(bundle.index, "manifests");
  if (manifests == nullptr || !manifests->is_array()) return variants;
  for (const Json& manifest : manifests->get_array()) {
    JsonObject variant{{"name", oci::annotation(manifest, oci::kVariant)}};
    for (const char* key : {"digest", "size", "platform"}) {
      if (const Json* value = find(manifest, key); value != nullptr) variant[key] = *value;
    }
    variants.push_back(std::move(variant));
  }
  return variants;
}

std::string kind_of(std::string_view artifact_type) {
  if (artifact_type == kSbomType) return "sbom";
  if (artifact_type == kProvenanceType) return "provenance";
  if (artifact_type == kQualityType) return "quality";
  const bool is_signature = artifact_type.find("sigstore.bundle") != std::string_view::npos ||
                            artifact_type.find("cosign") != std::string_view::npos;
  return is_signature ? "signature" : "other";
}

bool artifact_type_is(const Referrer& referrer, std::string_view type) {
  return referrer.artifact_type == type && !referrer.layers.empty();
}

const Json* find_path(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* at = &value;
  for (const std::string_view key : path) {
    if (at != nullptr) at = find(*at, key);
  }
  return at;
}

}  // namespace

Json inspect_bundle(const StoredBundle& bundle) {
  JsonObject document{{"name", bundle.name},
                      {"tag", bundle.tag},
                      {"digest", bundle.digest},
                      {"content_digest", bundle.content_digest},
                      {"sizes", sizes_document(bundle)},
                      {"size", static_cast<std::int64_t>(bundle.size)}};
  // bundle.json as it stands, but for the files, which follow with the rest of the long lists.
  if (const JsonObject* content = bundle.bundle.if_object()) {
    for (const auto& [key, value] : *content) {
      if (key == "name" || key == "files") continue;
      document[key] = value;
    }
  }
  document["files"] = files_document(bundle);
  JsonArray layers;
  for (const StoredLayer& layer : bundle.layers) layers.push_back(layer_document(layer));
  document["layers"] = std::move(layers);
  document["variants"] = variants_document(bundle);
  if (const Json* config = find(bundle.config, "config"); config != nullptr) {
    document["image"] = *config;
  }
  return document;
}

Result<Json> inspect_referrers(const StorePaths& paths, const StoredBundle& bundle) {
  BUNDLE_TRY(auto referrers, referrers_of(paths, bundle.digest));
  // The same list, whatever was attached last.
  std::ranges::sort(referrers, {}, [](const Referrer& referrer) {
    return std::tie(referrer.artifact_type, referrer.manifest.digest);
  });
  JsonArray list;
  for (const Referrer& referrer : referrers) {
    JsonObject entry{{"kind", kind_of(referrer.artifact_type)},
                     {"digest", referrer.manifest.digest},
                     {"artifact_type", referrer.artifact_type}};
    if (artifact_type_is(referrer, kProvenanceType)) {
      BUNDLE_TRY(const Json statement, read_document(paths, referrer.layers.front()));
      if (const Json* source = find_path(
              statement, {"predicate", "buildDefinition", "externalParameters", "source"})) {
        entry["source"] = *source;
      }
    }
    if (artifact_type_is(referrer, kQualityType)) {
      BUNDLE_TRY(entry["report"], read_document(paths, referrer.layers.front()));
    }
    list.push_back(std::move(entry));
  }
  return Json(std::move(list));
}

Result<Json> inspect_tensors(const StoredBundle& bundle) {
  BUNDLE_TRY(const auto checkpoint, format::Checkpoint::open(bundle.model));
  JsonArray tensors;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    JsonArray shape;
    for (const std::int64_t dimension : tensor.shape) shape.emplace_back(dimension);
    tensors.push_back(JsonObject{{"name", name},
                                 {"type", dtype_info(tensor.type).name},
                                 {"shape", std::move(shape)},
                                 {"bytes", tensor.data.size()}});
  }
  return Json(std::move(tensors));
}

Json list_bundles(const std::vector<BundleSummary>& bundles) {
  JsonArray list;
  for (const BundleSummary& bundle : bundles) {
    JsonObject entry{{"name", bundle.name},
                     {"tag", bundle.tag},
                     {"digest", bundle.digest},
                     {"content_digest", bundle.content_digest},
                     {"size", static_cast<std::int64_t>(bundle.size)},
                     {"architecture", bundle.architecture},
                     {"parameters", static_cast<std::int64_t>(bundle.parameters)}};
    if (!bundle.damage.empty()) entry["damage"] = bundle.damage;
    list.push_back(std::move(entry));
  }
  return JsonObject{{"bundles", std::move(list)}};
}

}  // namespace bundle::packager
