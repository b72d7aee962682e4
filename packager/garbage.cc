#include "packager/garbage.h"

#include <set>

#include "packager/oci.h"
#include "packager/store_index.h"
#include "packager/stored_bundle.h"

namespace bundle::packager {
namespace {

constexpr int kMostNesting = 8;

/// Everything that the entries reach: indexes lead to manifests, manifests to configs and layers.
class Reach {
 public:
  explicit Reach(const StorePaths& paths) : paths_(paths) {}

  Status add(const Descriptor& blob, int depth = 0) {
    if (!digests_.insert(blob.digest).second) return {};
    const bool is_index = blob.media_type == oci::kIndexType;
    const bool is_manifest = blob.media_type == oci::kManifestType;
    if (!is_index && !is_manifest) return {};
    if (depth == kMostNesting) return bad_input("indexes are nested too deeply", blob.digest);
    auto document = read_document(paths_, blob);
    if (!document) {
      Error error = std::move(document).error();
      error.remedy = "Nothing was freed: remove the damaged bundle first (bundle list names it).";
      return error;
    }
    return add_children(*document, is_index ? "manifests" : "layers", blob.digest, depth);
  }

  bool contains(const std::string& digest) const { return digests_.contains(digest); }

 private:
  Status add_children(const Json& document, std::string_view key, const std::string& where,
                      int depth) {
    BUNDLE_TRY(const auto children, oci::read_descriptors(document, key, where));
    for (const Descriptor& child : children) BUNDLE_CHECK(add(child, depth + 1));
    const Json* config = find(document, "config");
    if (config == nullptr) return {};
    BUNDLE_TRY(const Descriptor descriptor, oci::read_descriptor(*config, where));
    return add(descriptor, depth + 1);
  }

  const StorePaths& paths_;
  std::set<std::string> digests_;
};

Status remove_unreached(const StorePaths& paths, const Reach& reach, RemoveReport& report) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(paths.blobs(), error)) {
    const std::string digest = "sha256:" + entry.path().filename().string();
    if (!is_valid_digest(digest) || reach.contains(digest)) continue;
    std::error_code failure;
    const std::uint64_t size = entry.file_size(failure);
    if (!std::filesystem::remove(entry.path(), failure)) {
      return failed("cannot delete a blob: " + failure.message(), entry.path().string());
    }
    ++report.freed_blobs;
    report.freed_bytes += size == static_cast<std::uint64_t>(-1) ? 0 : size;
  }
  if (error) return failed("cannot list the blobs: " + error.message(), paths.blobs().string());
  return {};
}

}  // namespace

Result<RemoveReport> collect_garbage(const StorePaths& paths) {
  RemoveReport report;
  std::error_code error;
  if (!std::filesystem::exists(paths.own(), error)) return report;  // nothing was written yet
  BUNDLE_TRY(const auto lock, FileLock::try_exclusive(paths.blobs_lock()));
  if (!lock) {
    report.deferred = true;
    return report;
  }
  BUNDLE_TRY(const std::vector<IndexEntry> entries, read_index(paths));
  Reach reach(paths);
  for (const IndexEntry& entry : entries) BUNDLE_CHECK(reach.add(entry.descriptor));
  BUNDLE_CHECK(remove_unreached(paths, reach, report));
  return report;
}

}  // namespace bundle::packager
