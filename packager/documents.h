// The JSON documents of a bundle: bundle.json and launch.json inside it, and the OCI image, the
// ModelPack artifact and the index over both. None holds a time, a path of the host, or the name
// under which the bundle is stored: the same model gives the same bytes everywhere.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "packager/layer_writer.h"
#include "packager/manifest.h"
#include "packager/model_facts.h"
#include "packager/store_index.h"

namespace bundle::packager {

inline constexpr int kBundleFormat = 1;
inline constexpr std::string_view kBundleJson = "bundle/bundle.json";
inline constexpr std::string_view kLaunchJson = "bundle/launch.json";
inline constexpr std::string_view kModelsFolder = "models/";

/// One model file as bundle.json lists it.
struct BundleFile {
  std::string name;
  std::uint64_t size = 0;
  std::string sha256;
  std::string layer;  // digest of the weight layer that holds it; "" for one of the config layer
};

/// Everything that decides the bundle's bytes.
struct BundleParts {
  Manifest manifest;
  ModelFacts facts;
  std::vector<BundleFile> files;           // sorted by name
  std::vector<Descriptor> runtime_layers;  // empty without runtime
  std::vector<std::string> start;          // command line in the image, up to the program
  bool cuda = false;                       // one of those layers has the backend for GPUs

  /// bundle.yaml's name, else the model's own, else "model".
  std::string title() const;
  /// The same as a name that clients of a container can write: "smollm2-135m-instruct".
  std::string served_name() const;
};

/// bundle.json; its SHA-256 is the content digest.
Json bundle_document(const BundleParts& parts);

/// A LaunchSpec (runtime/launch/contract.h) for the server inside a container.
Json launch_document(const BundleParts& parts, const std::string& content_digest);

Json image_config(const BundleParts& parts, const std::string& content_digest,
                  const std::vector<StoredLayer>& layers);
Json image_manifest(const Descriptor& config, const std::vector<StoredLayer>& layers);

Json model_pack_config(const BundleParts& parts, const std::vector<StoredLayer>& layers);
Json model_pack_manifest(const Descriptor& config, const std::vector<StoredLayer>& layers);

/// The OCI index: its digest is the bundle's. `variants` are images, and the ModelPack manifest.
Json bundle_index(const BundleParts& parts, const std::string& content_digest,
                  const std::vector<Variant>& variants);

}  // namespace bundle::packager
