#include <algorithm>
#include <fcntl.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/oci.h"
#include "packager/referrers.h"
#include "packager/store_index.h"
#include "packager/stored_bundle.h"
#include "packager/tar_layer.h"
#include "packager/transfer/archive.h"
#include "packager/transfer/volumes.h"

namespace bundle::packager {
namespace {

constexpr std::string_view kLayout = R"({"imageLayoutVersion":"1.0.0"})";

std::string blob_name(const std::string& digest) { return "blobs/sha256/" + digest.substr(7); }

/// Collects what an archive holds, then writes it.
class ArchiveWriter {
 public:
  ArchiveWriter(const Store& store, const StoredBundle& bundle, const ExportOptions& options,
                const Progress& progress)
      : paths_{store.root()}, bundle_(bundle), options_(options), progress_(progress) {}

  /// The whole bundle: documents of all variants, referrers, layers.
  Status collect_bundle() {
    BUNDLE_TRY(const Descriptor index, describe_blob(paths_, oci::kIndexType, bundle_.digest));
    add_document(index);
    BUNDLE_TRY(const auto manifests,
               oci::read_descriptors(bundle_.index, "manifests", bundle_.digest));
    entries_.push_back(entry(index, "", ""));
    BUNDLE_CHECK(add_referrers(bundle_.digest));
    const JsonArray& described = bundle_.index.at("manifests").get_array();
    for (std::size_t i = 0; i < manifests.size(); ++i) {
      BUNDLE_CHECK(add_manifest(manifests[i], true));
      entries_.push_back(entry(manifests[i], "-", oci::annotation(described[i], oci::kVariant)));
      BUNDLE_CHECK(add_referrers(manifests[i].digest));
    }
    return {};
  }

  /// One image, and Docker's own list of what is in it.
  Status collect_image() {
    BUNDLE_CHECK(add_manifest(bundle_.manifest_descriptor, true));
    entries_.push_back(entry(bundle_.manifest_descriptor, "", ""));
    BUNDLE_TRY(const Descriptor config,
               oci::read_descriptor(bundle_.manifest.at("config"), bundle_.digest));
    JsonArray layers;
    for (const StoredLayer& layer : bundle_.layers) {
      layers.emplace_back(blob_name(layer.descriptor.digest));
    }
    docker_ = print_json(JsonArray{JsonObject{{"Config", blob_name(config.digest)},
                                              {"RepoTags", JsonArray{bundle_.name + ':' + tag()}},
                                              {"Layers", std::move(layers)}}});
    return {};
  }

  Result<ExportReport> write(const Path& file) {
    VolumeWriter out(file, options_.volume_bytes);
    for (const Descriptor& blob : layers_) total_ += blob.size;
    BUNDLE_CHECK(write_text(out, "oci-layout", kLayout));
    BUNDLE_CHECK(write_text(out, "index.json", index_text()));
    if (!docker_.empty()) BUNDLE_CHECK(write_text(out, "manifest.json", docker_));
    for (const Descriptor& blob : documents_) {
      BUNDLE_TRY(const std::string text, read_checked_blob(paths_, blob, blob.size));
      BUNDLE_CHECK(write_text(out, blob_name(blob.digest), text));
    }
    for (const Descriptor& blob : layers_) BUNDLE_CHECK(write_layer(out, blob));
    BUNDLE_CHECK(out.write(layer_end()));
    BUNDLE_CHECK(out.commit(options_.replace));
    report_.files = out.names();
    report_.size = out.written();
    return report_;
  }

 private:
  std::string tag() const { return bundle_.tag.empty() ? std::string(kDefaultTag) : bundle_.tag; }

  /// As index.json has it: the bundle under its tag, its variants beside it.
  Json entry(const Descriptor& blob, const std::string& dash, const std::string& variant) const {
    JsonObject annotations{{oci::kRefName, bundle_.name + ':' + tag() + dash + variant}};
    if (!variant.empty()) annotations[oci::kVariant] = variant;
    JsonObject document = oci::to_json(blob);
    document["annotations"] = std::move(annotations);
    return document;
  }

  std::string index_text() const {
    JsonArray manifests;
    for (const Json& one : entries_) manifests.push_back(one);
    return pretty_json(JsonObject{
        {"schemaVersion", 2}, {"mediaType", oci::kIndexType}, {"manifests", std::move(manifests)}});
  }

  void add_document(const Descriptor& blob) {
    if (known_.insert(blob.digest).second) documents_.push_back(blob);
  }

  void add_layer(const Descriptor& blob) {
    if (!known_.insert(blob.digest).second) return;
    if (options_.have.contains(blob.digest)) {
      report_.left_out += blob.size;
    } else {
      layers_.push_back(blob);
    }
  }

  Status add_manifest(const Descriptor& manifest, bool has_layers) {
    add_document(manifest);
    BUNDLE_TRY(const Json document, read_document(paths_, manifest));
    BUNDLE_TRY(const auto layers, oci::read_descriptors(document, "layers", manifest.digest));
    const Json* config = find(document, "config");
    if (config == nullptr) return bad_input("the manifest has no 'config'", manifest.digest);
    BUNDLE_TRY(const Descriptor descriptor, oci::read_descriptor(*config, manifest.digest));
    add_document(descriptor);
    for (const Descriptor& layer : layers) has_layers ? add_layer(layer) : add_document(layer);
    return {};
  }

  Status add_referrers(const std::string& subject) {
    BUNDLE_TRY(const auto referrers, referrers_of(paths_, subject));
    for (const Referrer& referrer : referrers) {
      BUNDLE_CHECK(add_manifest(referrer.manifest, false));
      JsonObject document = oci::to_json(referrer.manifest);
      document["annotations"] = JsonObject{{oci::kSubject, referrer.subject},
                                           {oci::kArtifactType, referrer.artifact_type}};
      entries_.push_back(std::move(document));
    }
    return {};
  }

  static Status write_text(VolumeWriter& out, const std::string& name, std::string_view text) {
    BUNDLE_CHECK(out.write(member_header(name, text.size(), kPlainMode)));
    BUNDLE_CHECK(out.write(text));
    return out.write(member_padding(text.size()));
  }

  Status write_layer(VolumeWriter& out, const Descriptor& blob) {
    const Path path = paths_.blob(blob.digest);
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return system_error("cannot open a blob", path.string());
    BUNDLE_CHECK(out.write(member_header(blob_name(blob.digest), blob.size, kPlainMode)));
    BUNDLE_CHECK(out.copy(fd.get(), 0, blob.size, path, [this](std::uint64_t more) {
      done_ += more;
      return !progress_ || progress_("exporting", done_, total_);
    }));
    return out.write(member_padding(blob.size));
  }

  StorePaths paths_;
  const StoredBundle& bundle_;
  const ExportOptions& options_;
  const Progress& progress_;
  ExportReport report_;
  std::set<std::string> known_;
  std::vector<Json> entries_;
  std::vector<Descriptor> documents_;
  std::vector<Descriptor> layers_;
  std::string docker_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace

Result<ExportReport> export_archive(const Store& store, const StoredBundle& bundle,
                                    const Path& file, const ExportOptions& options,
                                    const Progress& progress) {
  ArchiveWriter writer(store, bundle, options, progress);
  BUNDLE_CHECK(writer.collect_bundle());
  return writer.write(file);
}

Result<ExportReport> export_docker_archive(const Store& store, const StoredBundle& bundle,
                                           const Path& file, const ExportOptions& options,
                                           const Progress& progress) {
  ArchiveWriter writer(store, bundle, options, progress);
  BUNDLE_CHECK(writer.collect_image());
  return writer.write(file);
}

}  // namespace bundle::packager
