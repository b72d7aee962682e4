// The store of bundles: an OCI image layout (oci-layout, index.json, blobs/sha256/…) that any OCI
// tool reads, with our locks and temporary files beside it.
//
// A blob appears under its digest only when it is whole and synced, and index.json is replaced in
// one rename, so a crash leaves the old state or the new one. Writers hold a shared lock for as
// long as they rely on blobs that no tag names yet; collecting garbage takes it alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "packager/reference.h"
#include "runtime/format/source.h"

namespace bundle::packager {

/// An OCI content descriptor.
struct Descriptor {
  std::string media_type;
  std::string digest;  // "sha256:…"
  std::uint64_t size = 0;

  bool operator==(const Descriptor&) const = default;
};

/// What a layer is for.
enum class LayerRole { kWeights, kConfig, kShell, kRuntime };
const char* role_name(LayerRole role);  // "weights", "config", "shell", "runtime"

/// One layer of a stored bundle: an uncompressed tar.
struct StoredLayer {
  Descriptor descriptor;
  LayerRole role = LayerRole::kWeights;
  Path blob;                       // the layer's file on this host
  std::vector<std::string> files;  // members, as their paths in the image
};

/// A bundle that was found and checked: small blobs against their digests, layers against their
/// sizes. A value; the files it points to live until the bundle is removed and collected.
struct StoredBundle {
  std::string name;
  std::string tag;             // "" when it was found by digest and has no tag
  std::string digest;          // of the OCI index
  std::string content_digest;  // of bundle.json
  std::uint64_t size = 0;      // of all blobs, each once
  Json index;                  // the OCI index, image manifest, image config and bundle.json
  Json manifest;
  Json config;
  Json bundle;
  Descriptor manifest_descriptor;   // the cpu image's manifest
  std::vector<StoredLayer> layers;  // in the image's order
  format::ModelSource model;        // every model file in place, with its sha256
  JsonObject runtime;               // bundle.yaml's runtime section, chat_template as text
};

/// One line of `bundle list`.
struct BundleSummary {
  std::string name;
  std::string tag;  // "" for a bundle whose tag has moved on
  std::string digest;
  std::string content_digest;
  std::uint64_t size = 0;
  std::string architecture;
  std::uint64_t parameters = 0;
  std::string damage;  // why it cannot be used, or ""
};

/// What a reference means, before anything of the bundle is read.
struct FoundBundle {
  std::string name;
  std::string tag;  // "" for a bundle whose tag has moved on
  std::string digest;
};

struct RemoveReport {
  std::vector<std::string> untagged;  // "name:tag"
  std::uint64_t freed_blobs = 0;
  std::uint64_t freed_bytes = 0;
  bool deferred = false;  // another process is writing: its next gc frees the blobs
  std::string blocked;    // why nothing was freed: another bundle is damaged; or ""
};

/// A handle on the folder; holds no lock between calls. Thread-safe, and safe with any number of
/// processes.
class Store {
 public:
  /// Opens $BUNDLE_HOME/store, or `root`. Nothing is created until the first write; what a killed
  /// writer left half written is cleared away.
  static Result<Store> open();
  static Result<Store> open(Path root);

  const Path& root() const { return root_; }
  /// The file of a blob; `digest` must be valid.
  Path blob_path(std::string_view digest) const;

  /// Every bundle, by name and tag. A damaged one is listed with its damage.
  Result<std::vector<BundleSummary>> list() const;

  /// kNotFound, with the nearest name, when there is none; kUsage for an ambiguous prefix. Reads
  /// index.json alone.
  Result<FoundBundle> find(std::string_view reference) const;

  /// The same, opened; kBadInput when the bundle's blobs are damaged.
  Result<StoredBundle> resolve(std::string_view reference) const;

  /// Forgets one tag, or with a digest every tag of it, and frees what nothing needs any more.
  Result<RemoveReport> remove(std::string_view reference);

  /// Frees bundles without tag, blobs without bundle, and what unfinished downloads left.
  Result<RemoveReport> gc();

  /// Frees blobs without bundle, as an interrupted build leaves them.
  Result<RemoveReport> collect_blobs();

  /// A blob of at most `cap` bytes, checked against its digest.
  Result<std::string> read_blob(const Descriptor& blob, std::uint64_t cap) const;

 private:
  explicit Store(Path root) : root_(std::move(root)) {}

  Path root_;
};

}  // namespace bundle::packager
