// Names and small documents of the OCI image specification, read from hostile text and written.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "packager/store.h"

namespace bundle::packager::oci {

inline constexpr std::string_view kIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kConfigType = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kLayerType = "application/vnd.oci.image.layer.v1.tar";

inline constexpr std::string_view kModelArtifact = "application/vnd.cncf.model.manifest.v1+json";
inline constexpr std::string_view kModelConfigType = "application/vnd.cncf.model.config.v1+json";
inline constexpr std::string_view kModelWeightType = "application/vnd.cncf.model.weight.v1.tar";
inline constexpr std::string_view kModelFilesType =
    "application/vnd.cncf.model.weight.config.v1.tar";

inline constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";

/// Our own annotations.
inline constexpr std::string_view kRole = "dev.bundle.role";        // of a layer
inline constexpr std::string_view kVariant = "dev.bundle.variant";  // "cuda", "cpu", "modelpack"
inline constexpr std::string_view kName = "dev.bundle.name";        // of a bundle without tag
inline constexpr std::string_view kSubject = "dev.bundle.subject";  // of a listed referrer
inline constexpr std::string_view kArtifactType = "dev.bundle.artifact-type";
inline constexpr std::string_view kContent = "dev.bundle.content-digest";
inline constexpr std::string_view kArchitecture = "dev.bundle.architecture";
inline constexpr std::string_view kParameters = "dev.bundle.parameters";

/// Most bytes of an index, manifest or config: more is refused unread.
inline constexpr std::uint64_t kMostDocumentBytes = 4u << 20;

/// {"mediaType","digest","size"}.
JsonObject to_json(const Descriptor& descriptor);

/// Checks digest, size and type; `where` names the document.
Result<Descriptor> read_descriptor(const Json& value, std::string_view where);

/// The array under `key`, checked: descriptors of an index or manifest. At most 10000.
Result<std::vector<Descriptor>> read_descriptors(const Json& document, std::string_view key,
                                                 std::string_view where);

/// A member of "annotations", or "".
std::string annotation(const Json& value, std::string_view key);

}  // namespace bundle::packager::oci
