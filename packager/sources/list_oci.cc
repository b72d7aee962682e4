// A model in a registry: an artifact of CNCF's ModelPack (model-spec 0.0.7), by anyone who writes
// its files as they are, or one of our own bundles, whose layers are unpacked.
#include <algorithm>
#include <memory>
#include <set>

#include <boost/json/array.hpp>

#include "packager/oci.h"
#include "packager/registry/remote_documents.h"
#include "packager/sources/listing.h"

namespace bundle::packager::sources {
namespace {

constexpr std::string_view kTypePrefix = "application/vnd.cncf.model.";
constexpr std::string_view kRaw = ".raw";
constexpr std::string_view kTar = ".tar";
constexpr const char* kFilePath = "org.cncf.model.filepath";

bool is_model(const Json& manifest) {
  const Json* type = find(manifest, "artifactType");
  if (type != nullptr && *type == Json(oci::kModelArtifact)) return true;
  const Json* config = find(manifest, "config");
  const Json* config_type = config == nullptr ? nullptr : find(*config, "mediaType");
  return config_type != nullptr && *config_type == Json(oci::kModelConfigType);
}

Error no_model(const SourceUri& uri) {
  return bad_input("what is there is no model artifact", uri.text,
                   "Name a ModelPack artifact, or a bundle that 'bundle push' put there.");
}

/// The model's manifest behind an index: a bundle's variant, or the entry that says it is one.
Result<Descriptor> choose_manifest(const Json& index, const SourceUri& uri) {
  BUNDLE_TRY(const auto entries, oci::read_descriptors(index, "manifests", uri.text));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Json& entry = index.at("manifests").at(i);
    const Json* type = find(entry, "artifactType");
    if (oci::annotation(entry, oci::kVariant) == "modelpack" ||
        (type != nullptr && *type == Json(oci::kModelArtifact))) {
      return entries[i];
    }
  }
  return no_model(uri);
}

struct ModelManifest {
  std::string digest;
  Json document;
};

Result<ModelManifest> get_model(registry::Connection& connection, const std::string& target,
                                const SourceUri& uri, const std::function<bool()>& go_on) {
  BUNDLE_TRY(auto manifest, registry::get_manifest(connection, target, go_on));
  BUNDLE_TRY(Json document, parse_json(manifest.text, uri.text));
  if (find(document, "manifests") != nullptr) {
    BUNDLE_TRY(const Descriptor chosen, choose_manifest(document, uri));
    BUNDLE_TRY(manifest, registry::get_manifest(connection, chosen.digest, go_on));
    BUNDLE_TRY(document, parse_json(manifest.text, uri.text));
  }
  if (!is_model(document)) return no_model(uri);
  return ModelManifest{manifest.descriptor.digest, std::move(document)};
}

/// Weights, configuration and documents; data sets and code are not the model.
bool is_wanted(std::string_view media_type) {
  const std::string_view kind = media_type.substr(kTypePrefix.size());
  return kind.starts_with("weight.") || kind.starts_with("doc.");
}

/// One layer as a file; nothing for one that does not belong to the model's own folder.
Result<std::optional<ListedFile>> listed(const Descriptor& layer, const Json& entry,
                                         const SourceUri& uri) {
  const std::string_view type = layer.media_type;
  if (!type.starts_with(kTypePrefix)) return no_model(uri);
  if (!is_wanted(type)) return std::optional<ListedFile>();
  ListedFile file;
  file.size = layer.size;
  file.sha256 = layer.digest.substr(7);
  file.is_layer = type.ends_with(kTar);
  file.name =
      file.is_layer ? "layer-" + file.sha256.substr(0, 16) : oci::annotation(entry, kFilePath);
  if (!file.is_layer && !type.ends_with(kRaw)) {
    return Error{ErrorCode::kUsage, "a layer of type '" + layer.media_type + "' is not read",
                 uri.text, "Push the model uncompressed: as raw files, or with 'bundle push'."};
  }
  if (file.name.empty()) return bad_input("a layer does not say which file it is", uri.text);
  if (file.name.find('/') != std::string::npos) return std::optional<ListedFile>();
  return std::optional(std::move(file));
}

}  // namespace

Result<Listing> list_oci(const SourceUri& uri, const registry::RegistryOptions& options,
                         const std::function<bool()>& go_on) {
  BUNDLE_TRY(const auto remote, registry::parse_remote(uri.repository));
  BUNDLE_TRY(auto opened, registry::Connection::open(remote, options));
  const auto connection = std::make_shared<registry::Connection>(std::move(opened));
  BUNDLE_TRY(const ModelManifest model, get_model(*connection, remote.target(), uri, go_on));
  Listing listing;
  listing.revision = model.digest;
  listing.name = remote.short_name();
  BUNDLE_TRY(const auto layers, oci::read_descriptors(model.document, "layers", uri.text));
  std::set<std::string> names;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    BUNDLE_TRY(auto file, listed(layers[i], model.document.at("layers").at(i), uri));
    if (!file) continue;
    if (!names.insert(file->name).second) {
      return bad_input("two layers are the file '" + file->name + "'", uri.text);
    }
    file->url = connection->url("/blobs/" + layers[i].digest).text();
    listing.files.push_back(*std::move(file));
  }
  listing.make_sender = [connection]() -> SendHttp {
    auto own = std::make_shared<registry::Connection>(connection->another());
    return [own](HttpRequest request, const OnHttpData& on_data, const OnHttpHead& on_head) {
      return own->send(std::move(request), registry::Access::kPull, on_data, on_head);
    };
  };
  listing.explain = [](const HttpResponse& response, const std::string& where) {
    return registry::Connection::unexpected(response, "cannot fetch a layer", where);
  };
  return listing;
}

}  // namespace bundle::packager::sources
