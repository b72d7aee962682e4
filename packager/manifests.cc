#include "packager/manifests.h"

#include <algorithm>

#include "packager/oci.h"
#include "packager/runtime_pack.h"

namespace bundle::packager {
namespace {

bool is_cuda(const StoredLayer& layer) { return has_cuda(layer.files); }

Result<Variant> write_image(const std::string& variant, const BundleParts& parts,
                            const std::string& content_digest,
                            const std::vector<StoredLayer>& layers, const PutDocument& put) {
  BUNDLE_TRY(const Descriptor config,
             put(oci::kConfigType, image_config(parts, content_digest, layers)));
  BUNDLE_TRY(const Descriptor image, put(oci::kManifestType, image_manifest(config, layers)));
  return Variant{variant, image};
}

}  // namespace

Result<BundleManifests> write_manifests(const BundleParts& parts, const std::string& content_digest,
                                        const std::vector<StoredLayer>& layers,
                                        const PutDocument& put) {
  std::vector<StoredLayer> plain = layers;
  std::erase_if(plain, is_cuda);
  BundleManifests written;
  if (plain.size() < layers.size()) {
    BUNDLE_TRY(Variant cuda, write_image("cuda", parts, content_digest, layers, put));
    written.variants.push_back(std::move(cuda));
  }
  BUNDLE_TRY(Variant cpu, write_image("cpu", parts, content_digest, plain, put));
  written.variants.push_back(std::move(cpu));
  BUNDLE_TRY(const Descriptor config, put(oci::kModelConfigType, model_pack_config(parts, layers)));
  BUNDLE_TRY(Descriptor pack, put(oci::kManifestType, model_pack_manifest(config, layers)));
  written.variants.push_back({"modelpack", std::move(pack)});
  BUNDLE_TRY(written.index,
             put(oci::kIndexType, bundle_index(parts, content_digest, written.variants)));
  return written;
}

}  // namespace bundle::packager
