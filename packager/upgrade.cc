#include "packager/upgrade.h"

#include <algorithm>
#include <map>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/documents.h"
#include "packager/layer_writer.h"
#include "packager/manifests.h"
#include "packager/oci.h"
#include "packager/referrers.h"
#include "packager/runtime_pack.h"
#include "packager/tar_layer.h"

namespace bundle::packager {
namespace {

JsonObject section_of(const Json& document, std::string_view key) {
  const Json* section = find(document, key);
  return section == nullptr || !section->is_object() ? JsonObject() : section->get_object();
}

std::map<std::string, std::string> texts_of(const Json& document, std::string_view key) {
  std::map<std::string, std::string> texts;
  for (const auto& [name, text] : section_of(document, key)) {
    if (text.is_string()) texts[name] = text.get_string();
  }
  return texts;
}

/// bundle.json says all that bundle.yaml said and the bundle depends on.
Result<Manifest> manifest_of(const StoredBundle& bundle) {
  const Json& document = bundle.bundle;
  Manifest manifest;
  BUNDLE_TRY(manifest.name, get_string_or(document, "name", "", kBundleJson));
  BUNDLE_TRY(manifest.version, get_string_or(document, "version", "", kBundleJson));
  BUNDLE_TRY(manifest.description, get_string_or(document, "description", "", kBundleJson));
  BUNDLE_TRY(manifest.quantize, get_string_or(document, "quantize", "", kBundleJson));
  BUNDLE_TRY(manifest.license, get_string_or(document, "license", "", kBundleJson));
  manifest.runtime = bundle.runtime;
  manifest.resources = section_of(document, "resources");
  manifest.scaling = section_of(document, "scaling");
  manifest.env = texts_of(document, "env");
  manifest.labels = texts_of(document, "labels");
  if (const Json* secrets = find(document, "secrets"); secrets != nullptr && secrets->is_array()) {
    for (const Json& name : secrets->get_array()) {
      if (name.is_string()) manifest.secrets.emplace_back(name.get_string());
    }
  }
  return manifest;
}

class Upgrader {
 public:
  Upgrader(const StoredBundle& bundle, WriteSession& session, const Progress& progress)
      : bundle_(bundle), session_(session), cache_(HashCache::load(session.paths())) {
    meter_ = [&progress](std::string_view stage, std::uint64_t) {
      return !progress || progress(stage, 0, 0);
    };
  }

  /// `packs` are the layers of the new runtime, from the bottom up.
  Result<UpgradeReport> run(const std::vector<std::vector<PackFile>>& packs) {
    BUNDLE_CHECK(take_parts());
    keep(LayerRole::kWeights);
    std::vector<StoredLayer> runtime;
    for (const std::vector<PackFile>& files : packs) {
      BUNDLE_TRY(StoredLayer layer, write_runtime(files));
      runtime.push_back(std::move(layer));
    }
    parts_.start = runtime_start("");
    BUNDLE_CHECK(write_config());
    keep(LayerRole::kShell);
    layers_.insert(layers_.end(), runtime.begin(), runtime.end());
    return finish();
  }

 private:
  Status take_parts() {
    BUNDLE_TRY(parts_.manifest, manifest_of(bundle_));
    BUNDLE_TRY(const auto checkpoint, format::Checkpoint::open(bundle_.model));
    BUNDLE_TRY(auto config, format::read_model_config(checkpoint));
    parts_.facts = model_facts(checkpoint, std::move(config));
    const Json* files = find(bundle_.bundle, "files");
    for (const Json& file : files->get_array()) {
      BundleFile one;
      BUNDLE_TRY(one.name, get_string(file, "name", kBundleJson));
      BUNDLE_TRY(const std::int64_t size, get_int(file, "size", kBundleJson));
      BUNDLE_TRY(one.sha256, get_string(file, "sha256", kBundleJson));
      BUNDLE_TRY(one.layer, get_string_or(file, "layer", "", kBundleJson));
      one.size = static_cast<std::uint64_t>(size);
      parts_.files.push_back(std::move(one));
    }
    return {};
  }

  void keep(LayerRole role) {
    for (const StoredLayer& layer : bundle_.layers) {
      if (layer.role == role) layers_.push_back(layer);
    }
  }

  Result<WrittenLayer> write(const LayerPlan& plan) {
    BUNDLE_TRY(WrittenLayer layer, write_layer(plan, session_, cache_, meter_));
    if (!layer.reused) report_.written += layer.descriptor.size;
    return layer;
  }

  Result<StoredLayer> write_runtime(const std::vector<PackFile>& files) {
    BUNDLE_TRY(const LayerPlan plan, runtime_plan(files));
    BUNDLE_TRY(const WrittenLayer server, write(plan));
    parts_.runtime_layers.push_back(server.descriptor);
    std::vector<std::string> paths;
    for (const PackFile& file : files) paths.push_back(file.image);
    parts_.cuda = parts_.cuda || has_cuda(paths);
    return StoredLayer{server.descriptor, LayerRole::kRuntime, {}, std::move(paths)};
  }

  /// The old layer's files, with new documents.
  Status write_config() {
    LayerPlan plan{LayerRole::kConfig, {}};
    for (const format::SourceFile& file : bundle_.model.files()) {
      const auto known = std::ranges::find(parts_.files, file.name, &BundleFile::name);
      if (known == parts_.files.end() || !known->layer.empty()) continue;
      BUNDLE_TRY(std::string text, bundle_.model.read(file.name, file.length));
      plan.members.push_back({std::string(kModelsFolder) + file.name, kPlainMode, std::move(text)});
    }
    const std::string bundle = pretty_json(bundle_document(parts_));
    content_digest_ = "sha256:" + sha256_hex(bundle);
    const std::string launch = pretty_json(launch_document(parts_, content_digest_));
    plan.members.push_back({std::string(kBundleJson), kPlainMode, bundle});
    plan.members.push_back({std::string(kLaunchJson), kPlainMode, launch});
    std::ranges::sort(plan.members, {}, &LayerMember::path);
    std::vector<std::string> paths;
    for (const LayerMember& member : plan.members) paths.push_back(member.path);
    BUNDLE_TRY(const WrittenLayer layer, write(plan));
    layers_.push_back({layer.descriptor, LayerRole::kConfig, {}, std::move(paths)});
    return {};
  }

  Result<UpgradeReport> finish() {
    BUNDLE_TRY(const BundleManifests manifests,
               write_manifests(parts_, content_digest_, layers_,
                               [this](std::string_view media_type, const Json& document) {
                                 return session_.put(media_type, print_json(document));
                               }));
    report_.name = bundle_.name;
    report_.tag = bundle_.tag.empty() ? std::string(kDefaultTag) : bundle_.tag;
    report_.from = bundle_.digest;
    report_.to = manifests.index.digest;
    BUNDLE_TRY(const auto referrers, referrers_of(session_.paths(), bundle_.digest));
    for (const Referrer& referrer : referrers) {
      report_.was_signed |= referrer.artifact_type.find("sig") != std::string::npos;
    }
    BUNDLE_CHECK(session_.tag(report_.name, report_.tag, manifests.index, manifests.variants));
    return report_;
  }

  const StoredBundle& bundle_;
  WriteSession& session_;
  HashCache cache_;
  ByteMeter meter_;
  BundleParts parts_;
  std::vector<StoredLayer> layers_;
  std::string content_digest_;
  UpgradeReport report_;
};

}  // namespace

Result<UpgradeReport> upgrade(Store& store, const StoredBundle& bundle, const Path& server,
                              const Progress& progress) {
  Path program = server;
  if (program.empty()) {
    BUNDLE_TRY(program, default_server());
  }
  BUNDLE_TRY(std::vector<PackFile> runtime, collect_runtime(program));
  BUNDLE_TRY(std::vector<PackFile> cuda, collect_cuda(program, runtime));
  std::vector<std::vector<PackFile>> packs = {std::move(runtime)};
  if (!cuda.empty()) packs.push_back(std::move(cuda));
  BUNDLE_TRY(WriteSession session, WriteSession::begin(StorePaths{store.root()}));
  return Upgrader(bundle, session, progress).run(packs);
}

}  // namespace bundle::packager
