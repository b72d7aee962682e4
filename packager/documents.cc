#include "packager/documents.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/oci.h"
#include "packager/runtime_pack.h"

namespace bundle::packager {
namespace {

constexpr int kPort = 8000;

JsonArray to_array(const std::vector<std::string>& texts) {
  JsonArray array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

JsonObject to_object(const std::map<std::string, std::string>& texts) {
  JsonObject object;
  for (const auto& [key, text] : texts) object[key] = text;
  return object;
}

/// Keys sorted, all the way down: the order in bundle.yaml must not show.
Json sorted(const Json& value) {
  if (const JsonArray* array = value.if_array()) {
    JsonArray copy;
    for (const Json& item : *array) copy.push_back(sorted(item));
    return copy;
  }
  const JsonObject* object = value.if_object();
  if (object == nullptr) return value;
  std::map<std::string, Json> members;
  for (const auto& [key, member] : *object) members[key] = sorted(member);
  JsonObject copy;
  for (auto& [key, member] : members) copy[key] = std::move(member);
  return copy;
}

void put_text(JsonObject& object, std::string_view key, const std::string& text) {
  if (!text.empty()) object[key] = text;
}

void put_section(JsonObject& object, std::string_view key, const JsonObject& section) {
  if (!section.empty()) object[key] = sorted(section);
}

std::map<std::string, std::string> labels_of(const BundleParts& parts,
                                             const std::string& content_digest) {
  std::map<std::string, std::string> labels = parts.manifest.labels;
  labels[std::string(oci::kContent)] = content_digest;
  labels[std::string(oci::kArchitecture)] = parts.facts.config.architecture;
  labels[std::string(oci::kParameters)] = std::to_string(parts.facts.parameters);
  labels["org.opencontainers.image.title"] = parts.title();
  const auto put = [&](const char* key, const std::string& text) {
    if (!text.empty()) labels[key] = text;
  };
  put("org.opencontainers.image.version", parts.manifest.version);
  put("org.opencontainers.image.description", parts.manifest.description);
  put("org.opencontainers.image.licenses", parts.manifest.license);
  return labels;
}

JsonObject with_annotations(const Descriptor& descriptor, JsonObject annotations) {
  JsonObject document = oci::to_json(descriptor);
  document["annotations"] = std::move(annotations);
  return document;
}

JsonArray diff_ids(const std::vector<StoredLayer>& layers) {
  JsonArray ids;  // the layers are not compressed: each is its own diff
  for (const StoredLayer& layer : layers) ids.emplace_back(layer.descriptor.digest);
  return ids;
}

bool is_model_layer(const StoredLayer& layer) {
  return layer.role == LayerRole::kWeights || layer.role == LayerRole::kConfig;
}

std::vector<StoredLayer> model_layers(const std::vector<StoredLayer>& layers) {
  std::vector<StoredLayer> kept;
  for (const StoredLayer& layer : layers) {
    if (is_model_layer(layer)) kept.push_back(layer);
  }
  return kept;
}

}  // namespace

std::string BundleParts::title() const {
  if (!manifest.name.empty()) return manifest.name;
  return facts.title.empty() ? "model" : facts.title;
}

std::string BundleParts::served_name() const {
  const std::string name = manifest.name.empty() ? normalized_name(title()) : manifest.name;
  return name.empty() ? "model" : name;
}

Json bundle_document(const BundleParts& parts) {
  JsonArray files;
  for (const BundleFile& file : parts.files) {
    JsonObject entry{{"name", file.name},
                     {"size", static_cast<std::int64_t>(file.size)},
                     {"sha256", file.sha256}};
    put_text(entry, "layer", file.layer);
    files.push_back(std::move(entry));
  }
  JsonObject document{{"format", kBundleFormat}};
  put_text(document, "name", parts.manifest.name);
  put_text(document, "version", parts.manifest.version);
  put_text(document, "description", parts.manifest.description);
  put_text(document, "license", parts.manifest.license);
  put_text(document, "quantize", parts.manifest.quantize);
  document["model"] = parts.facts.to_json();
  document["files"] = std::move(files);
  document["runtime"] = sorted(parts.manifest.runtime);
  put_section(document, "resources", parts.manifest.resources);
  put_section(document, "scaling", parts.manifest.scaling);
  put_section(document, "env", to_object(parts.manifest.env));
  if (!parts.manifest.secrets.empty()) document["secrets"] = to_array(parts.manifest.secrets);
  put_section(document, "labels", to_object(parts.manifest.labels));
  if (!parts.runtime_layers.empty()) {
    JsonArray layers;
    for (const Descriptor& layer : parts.runtime_layers) layers.emplace_back(layer.digest);
    document["server"] = JsonObject{{"variant", parts.cuda ? "cuda" : "cpu"},
                                    {"start", to_array(parts.start)},
                                    {"layers", std::move(layers)}};
  }
  return document;
}

Json launch_document(const BundleParts& parts, const std::string& content_digest) {
  JsonArray model;
  for (const BundleFile& file : parts.files) {
    model.push_back(JsonObject{{"name", file.name},
                               {"path", '/' + std::string(kModelsFolder) + file.name},
                               {"offset", 0},
                               {"length", static_cast<std::int64_t>(file.size)},
                               {"sha256", file.sha256}});
  }
  return JsonObject{{"version", 1},
                    {"name", parts.served_name()},
                    {"content_digest", content_digest},
                    {"model", std::move(model)},
                    {"runtime", sorted(parts.manifest.runtime)}};
}

Json image_config(const BundleParts& parts, const std::string& content_digest,
                  const std::vector<StoredLayer>& layers) {
  JsonArray env{"PATH=/runtime/bin"};
  // What NVIDIA's container runtime is asked for; nothing else reads it.
  const bool cuda = std::ranges::any_of(layers, [](const auto& l) { return has_cuda(l.files); });
  if (cuda) {
    env.emplace_back("NVIDIA_VISIBLE_DEVICES=all");
    env.emplace_back("NVIDIA_DRIVER_CAPABILITIES=compute,utility");
  }
  for (const auto& [key, value] : parts.manifest.env) env.emplace_back(key + '=' + value);
  JsonObject config{{"User", "65532:65532"},
                    {"Env", std::move(env)},
                    {"WorkingDir", "/"},
                    {"Labels", to_object(labels_of(parts, content_digest))}};
  if (!parts.start.empty()) {
    JsonArray entrypoint = to_array(parts.start);
    entrypoint.emplace_back("--launch");
    entrypoint.emplace_back('/' + std::string(kLaunchJson));
    config["Entrypoint"] = std::move(entrypoint);
    config["Cmd"] = JsonArray{"--host", "0.0.0.0", "--port", std::to_string(kPort)};
    config["ExposedPorts"] = JsonObject{{std::to_string(kPort) + "/tcp", JsonObject()}};
    config["StopSignal"] = "SIGTERM";
  }
  return JsonObject{{"architecture", "amd64"},
                    {"os", "linux"},
                    {"config", std::move(config)},
                    {"rootfs", JsonObject{{"type", "layers"}, {"diff_ids", diff_ids(layers)}}}};
}

Json image_manifest(const Descriptor& config, const std::vector<StoredLayer>& layers) {
  JsonArray list;
  for (const StoredLayer& layer : layers) {
    list.push_back(with_annotations(layer.descriptor, {{oci::kRole, role_name(layer.role)}}));
  }
  return JsonObject{{"schemaVersion", 2},
                    {"mediaType", oci::kManifestType},
                    {"config", oci::to_json(config)},
                    {"layers", std::move(list)}};
}

Json model_pack_config(const BundleParts& parts, const std::vector<StoredLayer>& layers) {
  JsonObject descriptor{{"name", parts.title()}};
  put_text(descriptor, "version", parts.manifest.version);
  put_text(descriptor, "description", parts.manifest.description);
  if (!parts.manifest.license.empty()) {
    descriptor["licenses"] = JsonArray{parts.manifest.license};
  }
  JsonObject config{{"architecture", "transformer"},
                    {"format", parts.facts.format},
                    {"paramSize", std::to_string(parts.facts.parameters)}};
  std::string precision;
  for (const auto& [type, bytes] : parts.facts.bytes_by_type) {
    precision += (precision.empty() ? "" : ",") + type;
  }
  put_text(config, "precision", precision);
  return JsonObject{
      {"descriptor", std::move(descriptor)},
      {"config", std::move(config)},
      {"modelfs", JsonObject{{"type", "layers"}, {"diffIds", diff_ids(model_layers(layers))}}}};
}

Json model_pack_manifest(const Descriptor& config, const std::vector<StoredLayer>& layers) {
  JsonArray list;
  for (const StoredLayer& layer : model_layers(layers)) {
    const bool is_weight = layer.role == LayerRole::kWeights;
    Descriptor descriptor = layer.descriptor;
    descriptor.media_type = is_weight ? oci::kModelWeightType : oci::kModelFilesType;
    list.push_back(with_annotations(
        descriptor, {{"org.cncf.model.filepath", is_weight ? layer.files.front() : "models"},
                     {oci::kRole, role_name(layer.role)}}));
  }
  return JsonObject{{"schemaVersion", 2},
                    {"mediaType", oci::kManifestType},
                    {"artifactType", oci::kModelArtifact},
                    {"config", oci::to_json(config)},
                    {"layers", std::move(list)}};
}

Json bundle_index(const BundleParts& parts, const std::string& content_digest,
                  const std::vector<Variant>& variants) {
  JsonArray manifests;
  for (const Variant& variant : variants) {
    // No artifactType here, though it may stand here: older tools drop it when they copy an index,
    // and could then not keep its digest. The manifest itself has it.
    JsonObject entry = with_annotations(variant.manifest, {{oci::kVariant, variant.name}});
    const bool is_image = variant.name != "modelpack";
    entry["platform"] = JsonObject{{"architecture", is_image ? "amd64" : "unknown"},
                                   {"os", is_image ? "linux" : "unknown"}};
    manifests.push_back(std::move(entry));
  }
  JsonObject annotations;
  for (const auto& [key, text] : labels_of(parts, content_digest)) annotations[key] = text;
  return JsonObject{{"schemaVersion", 2},
                    {"mediaType", oci::kIndexType},
                    {"manifests", std::move(manifests)},
                    {"annotations", std::move(annotations)}};
}

}  // namespace bundle::packager
