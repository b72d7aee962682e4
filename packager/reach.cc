#include "packager/reach.h"

#include "packager/oci.h"
#include "packager/stored_bundle.h"

namespace bundle::packager {
namespace {

constexpr int kMostNesting = 8;

}  // namespace

Status Reach::add(const Descriptor& blob, int depth) {
  if (!blobs_.try_emplace(blob.digest, blob.size).second) return {};
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

Status Reach::add_children(const Json& document, std::string_view key, const std::string& where,
                           int depth) {
  BUNDLE_TRY(const auto children, oci::read_descriptors(document, key, where));
  for (const Descriptor& child : children) BUNDLE_CHECK(add(child, depth + 1));
  const Json* config = find(document, "config");
  if (config == nullptr) return {};
  BUNDLE_TRY(const Descriptor descriptor, oci::read_descriptor(*config, where));
  return add(descriptor, depth + 1);
}

}  // namespace bundle::packager
