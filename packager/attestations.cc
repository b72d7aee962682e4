#include "packager/attestations.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/modelcar_shell.h"
#include "packager/oci.h"
#include "packager/referrers.h"
#include "packager/stored_bundle.h"
#include "packager/tar_layer.h"

namespace bundle::packager {
namespace {

/// Libraries that the server is linked with, by the start of their file names.
struct KnownProgram {
  std::string_view prefix;
  std::string_view name;
  std::string_view license;  // SPDX expression
};
constexpr KnownProgram kPrograms[] = {
    {"ld-linux", "glibc", "LGPL-2.1-or-later"},
    {"libc.so", "glibc", "LGPL-2.1-or-later"},
    {"libm.so", "glibc", "LGPL-2.1-or-later"},
    {"libpthread", "glibc", "LGPL-2.1-or-later"},
    {"libdl.so", "glibc", "LGPL-2.1-or-later"},
    {"librt.so", "glibc", "LGPL-2.1-or-later"},
    {"libresolv", "glibc", "LGPL-2.1-or-later"},
    {"libstdc++", "gcc", "GPL-3.0-or-later WITH GCC-exception-3.1"},
    {"libgcc_s", "gcc", "GPL-3.0-or-later WITH GCC-exception-3.1"},
    {"libgomp", "gcc", "GPL-3.0-or-later WITH GCC-exception-3.1"},
    {"libssl", "openssl", "Apache-2.0"},
    {"libcrypto", "openssl", "Apache-2.0"},
    {"libfmt", "fmt", "MIT"},
    {"libspdlog", "spdlog", "MIT"},
    {"libboost", "boost", "BSL-1.0"},
    {"libutf8proc", "utf8proc", "MIT"},
    {"libprometheus", "prometheus-cpp", "MIT"},
    {"libz.so", "zlib", "Zlib"},
    {"libzstd", "zstd", "BSD-3-Clause"},
    {"libyaml-cpp", "yaml-cpp", "MIT"},
    {"libcurl", "curl", "curl"},
    {"busybox", "busybox", "GPL-2.0-only"},
};

JsonArray sha256_hash(const std::string& hex) {
  return JsonArray{JsonObject{{"alg", "SHA-256"}, {"content", hex}}};
}

JsonArray license_of(std::string_view expression) {
  return JsonArray{JsonObject{{"expression", expression}}};
}

/// What the bundle calls itself. Its name in this store is not the bundle's, and goes nowhere.
std::string own_name(const StoredBundle& bundle) {
  const Json* name = find(bundle.bundle, "name");
  const bool has_one = name != nullptr && name->is_string() && !name->get_string().empty();
  return has_one ? std::string(name->get_string()) : "bundle";
}

Json model_component(const StoredBundle& bundle, const std::string& license) {
  JsonArray files;
  for (const format::SourceFile& file : bundle.model.files()) {
    files.push_back(JsonObject{{"type", "file"},
                               {"bom-ref", "model/" + file.name},
                               {"name", file.name},
                               {"hashes", sha256_hash(file.sha256)}});
  }
  JsonObject component{{"type", "machine-learning-model"},
                       {"bom-ref", "model"},
                       {"name", own_name(bundle)},
                       {"hashes", sha256_hash(bundle.content_digest.substr(7))}};
  if (!license.empty()) component["licenses"] = license_of(license);
  component["components"] = std::move(files);
  return component;
}

Json program_component(const TarMember& member, const std::string& sha256) {
  const std::string file = member.path.substr(member.path.rfind('/') + 1);
  JsonObject component{
      {"type", member.path.starts_with("runtime/lib/") ? "library" : "application"},
      {"bom-ref", member.path},
      {"name", file},
      {"hashes", sha256_hash(sha256)}};
  for (const KnownProgram& known : kPrograms) {
    if (!file.starts_with(known.prefix)) continue;
    component["group"] = known.name;
    component["licenses"] = license_of(known.license);
    break;
  }
  return component;
}

bool holds_programs(const StoredLayer& layer) {
  return layer.role == LayerRole::kRuntime || layer.role == LayerRole::kShell;
}

/// The server with its libraries, and the shell; its scripts are no component.
Status add_programs(const StoredBundle& bundle, JsonArray& components) {
  for (const StoredLayer& layer : bundle.layers) {
    if (!holds_programs(layer)) continue;
    BUNDLE_TRY(const auto members, read_layer(layer.blob));
    BUNDLE_TRY(const MappedFile map, MappedFile::open(layer.blob));
    for (const TarMember& member : members) {
      if (layer.role == LayerRole::kShell && member.path != kBusyboxPath) continue;
      const std::string sha256 = sha256_hex(map.bytes().subspan(member.offset, member.size));
      components.push_back(program_component(member, sha256));
    }
  }
  return {};
}

}  // namespace

Result<Json> sbom_document(const StoredBundle& bundle) {
  BUNDLE_TRY(const std::string license, get_string_or(bundle.bundle, "license", "", bundle.digest));
  BUNDLE_TRY(const std::string version, get_string_or(bundle.bundle, "version", "", bundle.digest));
  JsonArray components{model_component(bundle, license)};
  BUNDLE_CHECK(add_programs(bundle, components));
  JsonObject subject{{"type", "container"}, {"bom-ref", "bundle"}, {"name", own_name(bundle)}};
  if (!version.empty()) subject["version"] = version;
  subject["hashes"] = sha256_hash(bundle.digest.substr(7));
  return Json(JsonObject{{"bomFormat", "CycloneDX"},
                         {"specVersion", "1.5"},
                         {"version", 1},
                         {"metadata", JsonObject{{"component", std::move(subject)}}},
                         {"components", std::move(components)}});
}

Json provenance_document(const StoredBundle& bundle, const Json& source,
                         const std::string& builder_version) {
  JsonArray dependencies;
  const Json* files = find(source, "files");
  for (const format::SourceFile& file : bundle.model.files()) {
    JsonObject dependency{{"name", file.name}, {"digest", JsonObject{{"sha256", file.sha256}}}};
    const Json* uri = find(source, "uri");
    if (files != nullptr && uri != nullptr) dependency["uri"] = *uri;
    dependencies.push_back(std::move(dependency));
  }
  JsonArray subject{JsonObject{{"name", own_name(bundle)},
                               {"digest", JsonObject{{"sha256", bundle.digest.substr(7)}}}}};
  JsonObject parameters;
  for (const char* key : {"uri", "revision"}) {
    const Json* value = find(source, key);
    if (value != nullptr && *value != Json("")) parameters[key] = *value;
  }
  return JsonObject{
      {"_type", "https://in-toto.io/Statement/v1"},
      {"subject", std::move(subject)},
      {"predicateType", "https://slsa.dev/provenance/v1"},
      {"predicate",
       JsonObject{
           {"buildDefinition",
            JsonObject{{"buildType", "urn:bundle:build:v1"},
                       {"externalParameters", JsonObject{{"source", std::move(parameters)}}},
                       {"resolvedDependencies", std::move(dependencies)}}},
           {"runDetails",
            JsonObject{{"builder", JsonObject{{"id", "urn:bundle:cli:" + builder_version}}}}}}}};
}

Status attach_attestations(Store& store, const StoredBundle& bundle, const Json& source,
                           const std::string& builder_version) {
  const StorePaths paths{store.root()};
  BUNDLE_TRY(WriteSession session, WriteSession::begin(paths));
  BUNDLE_TRY(const Descriptor index, describe_blob(paths, oci::kIndexType, bundle.digest));
  BUNDLE_TRY(const Json sbom, sbom_document(bundle));
  BUNDLE_CHECK(add_referrer(session, {.artifact_type = std::string(kSbomType),
                                      .subject = index,
                                      .layers = {{std::string(kSbomType), print_json(sbom)}}}));
  const Json provenance = provenance_document(bundle, source, builder_version);
  BUNDLE_CHECK(
      add_referrer(session, {.artifact_type = std::string(kProvenanceType),
                             .subject = index,
                             .layers = {{std::string(kProvenanceType), print_json(provenance)}}}));
  return {};
}

}  // namespace bundle::packager
