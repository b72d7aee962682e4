#include "packager/stored_bundle.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <sys/stat.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/documents.h"
#include "packager/hash_cache.h"
#include "packager/oci.h"
#include "packager/tar_layer.h"

namespace bundle::packager {
namespace {

constexpr std::uint64_t kMostConfigLayerBytes = 192u << 20;

Error damage(std::string what, std::string where) {
  return bad_input(std::move(what), std::move(where), "The bundle is damaged: build it again.");
}

/// Sizes are cheap to check each time; the bytes of weights are not.
Status check_size(const Path& path, std::uint64_t size) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    return damage(errno == ENOENT ? "a blob is missing" : "a blob cannot be read", path.string());
  }
  if (!S_ISREG(info.st_mode)) return damage("a blob is no regular file", path.string());
  const auto actual = static_cast<std::uint64_t>(info.st_size);
  if (actual == size) return {};
  return damage(
      "a blob has " + std::to_string(actual) + " bytes instead of " + std::to_string(size),
      path.string());
}

Result<LayerRole> read_role(const Json& layer, const std::string& where) {
  const std::string role = oci::annotation(layer, oci::kRole);
  for (const LayerRole known :
       {LayerRole::kWeights, LayerRole::kConfig, LayerRole::kShell, LayerRole::kRuntime}) {
    if (role == role_name(known)) return known;
  }
  return bad_input("a layer has no role: this image is no bundle", where);
}

/// One layer with the members found in its headers.
struct OpenLayer {
  StoredLayer stored;
  std::vector<TarMember> members;
};

class BundleReader {
 public:
  BundleReader(const StorePaths& paths, const IndexEntry& entry) : paths_(paths) {
    bundle_.name = entry.name;
    bundle_.tag = entry.tag;
    bundle_.digest = entry.descriptor.digest;
    index_ = entry.descriptor;
  }

  Result<StoredBundle> read() {
    BUNDLE_CHECK(read_documents());
    BUNDLE_CHECK(open_layers());
    BUNDLE_CHECK(read_bundle_json());
    BUNDLE_CHECK(locate_files());
    bundle_.size = total_size();
    return std::move(bundle_);
  }

 private:
  Status read_documents() {
    BUNDLE_TRY(bundle_.index, document(index_));
    const std::string where = paths_.blob(index_.digest).string();
    BUNDLE_TRY(bundle_.manifest_descriptor, image_of_index(bundle_.index, where));
    BUNDLE_TRY(bundle_.manifest, document(bundle_.manifest_descriptor));
    BUNDLE_TRY(const auto variants, oci::read_descriptors(bundle_.index, "manifests", where));
    for (const Descriptor& variant : variants) {
      if (variant != bundle_.manifest_descriptor) BUNDLE_CHECK(note_variant(variant));
    }
    const std::string manifest = paths_.blob(bundle_.manifest_descriptor.digest).string();
    const Json* config = find(bundle_.manifest, "config");
    if (config == nullptr) return bad_input("the manifest has no 'config'", manifest);
    BUNDLE_TRY(const Descriptor descriptor, oci::read_descriptor(*config, manifest));
    BUNDLE_TRY(bundle_.config, document(descriptor));
    return {};
  }

  Result<Json> document(const Descriptor& descriptor) {
    blobs_[descriptor.digest] = descriptor.size;
    return read_document(paths_, descriptor);
  }

  /// The manifest of another view on the same layers: only its own small blobs are counted.
  Status note_variant(const Descriptor& variant) {
    BUNDLE_TRY(const Json manifest, document(variant));
    const std::string where = paths_.blob(variant.digest).string();
    const Json* config = find(manifest, "config");
    if (config == nullptr) return bad_input("the manifest has no 'config'", where);
    BUNDLE_TRY(const Descriptor descriptor, oci::read_descriptor(*config, where));
    blobs_[descriptor.digest] = descriptor.size;
    return {};
  }

  Status open_layers() {
    const std::string where = paths_.blob(bundle_.manifest_descriptor.digest).string();
    BUNDLE_TRY(const auto descriptors, oci::read_descriptors(bundle_.manifest, "layers", where));
    const JsonArray& documents = bundle_.manifest.at("layers").get_array();
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      BUNDLE_TRY(const LayerRole role, read_role(documents[i], where));
      BUNDLE_CHECK(open_layer(descriptors[i], role));
    }
    return {};
  }

  Status open_layer(const Descriptor& descriptor, LayerRole role) {
    OpenLayer layer;
    layer.stored = {descriptor, role, paths_.blob(descriptor.digest), {}};
    BUNDLE_CHECK(check_size(layer.stored.blob, descriptor.size));
    // The small layer says what to believe of the others, so it is checked byte by byte.
    if (role == LayerRole::kConfig) {
      BUNDLE_CHECK(read_checked_blob(paths_, descriptor, kMostConfigLayerBytes));
    }
    BUNDLE_TRY(layer.members, read_layer(layer.stored.blob));
    for (const TarMember& member : layer.members) layer.stored.files.push_back(member.path);
    blobs_[descriptor.digest] = descriptor.size;
    bundle_.layers.push_back(layer.stored);
    layers_.push_back(std::move(layer));
    return {};
  }

  /// The member `path` of the layers of one role; where a digest is given, of that layer alone.
  const TarMember* find_member(LayerRole role, std::string_view path, std::string_view digest,
                               const Path** blob) const {
    for (const OpenLayer& layer : layers_) {
      if (layer.stored.role != role) continue;
      if (!digest.empty() && layer.stored.descriptor.digest != digest) continue;
      const auto found = std::ranges::find(layer.members, path, &TarMember::path);
      if (found == layer.members.end()) continue;
      *blob = &layer.stored.blob;
      return &*found;
    }
    return nullptr;
  }

  Status read_bundle_json() {
    const Path* blob = nullptr;
    const TarMember* member = find_member(LayerRole::kConfig, kBundleJson, "", &blob);
    if (member == nullptr) {
      return bad_input("the image holds no " + std::string(kBundleJson) + ": it is no bundle",
                       bundle_.digest);
    }
    BUNDLE_TRY(const auto map, MappedFile::open(*blob, member->offset, member->size));
    bundle_.content_digest = "sha256:" + sha256_hex(map.bytes());
    BUNDLE_TRY(bundle_.bundle, parse_json(as_text(map.bytes()), kBundleJson));
    BUNDLE_TRY(const std::int64_t format, get_int(bundle_.bundle, "format", kBundleJson));
    if (format != kBundleFormat) {
      return Error{ErrorCode::kBadInput,
                   "the bundle has format " + std::to_string(format) + ", this program reads " +
                       std::to_string(kBundleFormat),
                   bundle_.digest, "Use a newer version of this program."};
    }
    const Json* runtime = find(bundle_.bundle, "runtime");
    if (runtime == nullptr || !runtime->is_object()) {
      return bad_input("'runtime' is not a map", std::string(kBundleJson));
    }
    bundle_.runtime = runtime->get_object();
    return {};
  }

  Status locate_files() {
    const Json* files = find(bundle_.bundle, "files");
    if (files == nullptr || !files->is_array()) {
      return bad_input("'files' is not a list", std::string(kBundleJson));
    }
    std::vector<format::SourceFile> located;
    std::set<std::string> names;
    for (const Json& file : files->get_array()) {
      BUNDLE_TRY(format::SourceFile one, locate(file));
      if (!names.insert(one.name).second) {
        return bad_input("the file '" + one.name + "' comes twice", std::string(kBundleJson));
      }
      located.push_back(std::move(one));
    }
    bundle_.model = format::ModelSource(std::move(located));
    return {};
  }

  Result<format::SourceFile> locate(const Json& file) const {
    format::SourceFile located;
    BUNDLE_TRY(located.name, get_string(file, "name", kBundleJson));
    BUNDLE_TRY(located.sha256, get_string(file, "sha256", kBundleJson));
    BUNDLE_TRY(const std::int64_t size, get_int(file, "size", kBundleJson));
    BUNDLE_TRY(const std::string layer, get_string_or(file, "layer", "", kBundleJson));
    if (located.name.find('/') != std::string::npos ||
        !is_valid_digest("sha256:" + located.sha256)) {
      return bad_input("an entry of 'files' has no usable name or sha256",
                       std::string(kBundleJson));
    }
    const Path* blob = nullptr;
    const TarMember* member = find_member(layer.empty() ? LayerRole::kConfig : LayerRole::kWeights,
                                          std::string(kModelsFolder) + located.name, layer, &blob);
    if (member == nullptr || static_cast<std::uint64_t>(size) != member->size) {
      return damage("the file '" + located.name + "' is not in its layer as bundle.json says",
                    bundle_.digest);
    }
    located.path = *blob;
    located.offset = member->offset;
    located.length = member->size;
    return located;
  }

  std::uint64_t total_size() const {
    std::uint64_t total = 0;
    for (const auto& [digest, size] : blobs_) total += size;
    return total;
  }

  const StorePaths& paths_;
  Descriptor index_;
  StoredBundle bundle_;
  std::vector<OpenLayer> layers_;
  std::map<std::string, std::uint64_t> blobs_;  // digest -> size
};

std::uint64_t parse_count(const std::string& text) {
  std::uint64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

/// The sizes of a bundle's blobs, each once; the image's layers are checked against their files.
Result<std::uint64_t> sum_blobs(const StorePaths& paths, const Descriptor& index,
                                const Json& document) {
  std::map<std::string, std::uint64_t> blobs{{index.digest, index.size}};
  BUNDLE_TRY(const auto manifests, oci::read_descriptors(document, "manifests", index.digest));
  for (const Descriptor& manifest : manifests) {
    blobs[manifest.digest] = manifest.size;
    BUNDLE_TRY(const Json image, read_document(paths, manifest));
    BUNDLE_TRY(auto layers, oci::read_descriptors(image, "layers", manifest.digest));
    if (const Json* config = find(image, "config"); config != nullptr) {
      BUNDLE_TRY(Descriptor descriptor, oci::read_descriptor(*config, manifest.digest));
      layers.push_back(std::move(descriptor));
    }
    for (const Descriptor& blob : layers) {
      BUNDLE_CHECK(check_size(paths.blob(blob.digest), blob.size));
      blobs[blob.digest] = blob.size;
    }
  }
  std::uint64_t total = 0;
  for (const auto& [digest, size] : blobs) total += size;
  return total;
}

}  // namespace

Result<std::string> read_checked_blob(const StorePaths& paths, const Descriptor& blob,
                                      std::uint64_t cap) {
  const Path path = paths.blob(blob.digest);
  if (blob.size > cap) {
    return bad_input(
        "a document of the bundle is too large: " + std::to_string(blob.size) + " bytes",
        path.string());
  }
  BUNDLE_CHECK(check_size(path, blob.size));
  BUNDLE_TRY(std::string text, read_file(path, blob.size));
  if ("sha256:" + sha256_hex(text) != blob.digest) {
    return damage("a blob does not have the digest that names it", path.string());
  }
  return text;
}

Result<Descriptor> describe_blob(const StorePaths& paths, std::string_view media_type,
                                 std::string_view digest) {
  BUNDLE_TRY(const FileStamp stamp, stamp_file(paths.blob(digest)));
  return Descriptor{std::string(media_type), std::string(digest), stamp.size};
}

Result<Json> read_document(const StorePaths& paths, const Descriptor& blob) {
  BUNDLE_TRY(const std::string text, read_checked_blob(paths, blob, oci::kMostDocumentBytes));
  return parse_json(text, paths.blob(blob.digest).string());
}

Result<Descriptor> image_of_index(const Json& index, const std::string& where) {
  BUNDLE_TRY(const auto descriptors, oci::read_descriptors(index, "manifests", where));
  const JsonArray& documents = index.at("manifests").get_array();
  for (const char* variant : {"cuda", "cpu"}) {  // the first has all layers of the second
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      if (oci::annotation(documents[i], oci::kVariant) == variant) return descriptors[i];
    }
  }
  return bad_input("the index names no image of the variant 'cpu': it is no bundle", where);
}

Result<StoredBundle> load_bundle(const StorePaths& paths, const IndexEntry& entry) {
  return BundleReader(paths, entry).read();
}

BundleSummary summarize(const StorePaths& paths, const IndexEntry& entry) {
  BundleSummary summary;
  summary.name = entry.name;
  summary.tag = entry.tag;
  summary.digest = entry.descriptor.digest;
  const auto index = read_document(paths, entry.descriptor);
  if (!index) {
    summary.damage = index.error().message();
    return summary;
  }
  summary.content_digest = oci::annotation(*index, oci::kContent);
  summary.architecture = oci::annotation(*index, oci::kArchitecture);
  summary.parameters = parse_count(oci::annotation(*index, oci::kParameters));
  if (const auto size = sum_blobs(paths, entry.descriptor, *index)) {
    summary.size = *size;
  } else {
    summary.damage = size.error().message();
  }
  return summary;
}

}  // namespace bundle::packager
