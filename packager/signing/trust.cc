#include "packager/signing/trust.h"

#include <map>

#include <boost/json/object.hpp>

#include "packager/oci.h"
#include "packager/stored_bundle.h"
#include "packager/verified_blobs.h"

namespace bundle::packager::signing {
namespace {

Error rejected(const std::string& name) {
  return failed("the trust policy rejects '" + name + "'", "",
                "Change trust.yaml if it should be used.");
}

std::vector<std::string> names_of(const StoredBundle& bundle) { return {bundle.name}; }

/// Every file that a server would load must be one that was signed.
Status check_files(const StoredBundle& bundle, const std::vector<CheckedSignature>& checked) {
  std::vector<SignedFile> files;
  for (const format::SourceFile& file : bundle.model.files()) {
    files.push_back({file.name, file.sha256});
  }
  for (const CheckedSignature& signature : checked) {
    if (signature.statement) BUNDLE_CHECK(compare_files(*signature.statement, files));
  }
  return {};
}

}  // namespace

std::string version_of(const StoredBundle& bundle) {
  return oci::annotation(bundle.index, "org.opencontainers.image.version");
}

Result<Trust> Trust::load(const TrustOptions& options) {
  Trust trust;
  trust.options_ = options;
  if (options.policy.empty()) {
    BUNDLE_TRY(trust.policy_, TrustPolicy::load_default());
  } else {
    BUNDLE_TRY(trust.policy_, TrustPolicy::load(options.policy));
  }
  for (const Path& file : options.keys) {
    BUNDLE_TRY(PublicKey key, PublicKey::load(file));
    trust.keys_.push_back({file.string(), std::move(key)});
  }
  return trust;
}

TrustRule Trust::rule_for(const std::string& name) const {
  TrustRule rule = policy_.rule_for(name);
  rule.keys.insert(rule.keys.end(), keys_.begin(), keys_.end());
  if (options_.require_signature && rule.action == TrustAction::kAccept) {
    rule.action = TrustAction::kRequireSignature;
  }
  return rule;
}

Result<bool> Trust::needs_signature(const std::vector<std::string>& names) const {
  bool needs = false;
  for (const std::string& name : names) {
    const TrustRule rule = rule_for(name);
    if (rule.action == TrustAction::kReject) return rejected(name);
    needs = needs || rule.action == TrustAction::kRequireSignature;
    if (rule.action == TrustAction::kRequireSignature && rule.keys.empty()) {
      return Error{ErrorCode::kUsage, "a signature is asked for, but no key is trusted", "",
                   "Name one with --key, or write trust.yaml."};
    }
  }
  return needs;
}

Result<std::vector<CheckedSignature>> Trust::check(const std::vector<std::string>& names,
                                                   const std::vector<FoundSignature>& found,
                                                   const std::string& digest) const {
  std::vector<CheckedSignature> all;
  BUNDLE_TRY(const bool needs, needs_signature(names));
  if (!needs) return all;
  for (const std::string& name : names) {
    const TrustRule rule = rule_for(name);
    if (rule.action != TrustAction::kRequireSignature) continue;
    BUNDLE_TRY(auto checked, check_signatures(found, digest, rule.keys, rule.threshold));
    all.insert(all.end(), checked.begin(), checked.end());
  }
  return all;
}

Status Trust::check_version(const std::vector<std::string>& names,
                            const std::string& version) const {
  for (const std::string& name : names) {
    const TrustRule rule = rule_for(name);
    if (rule.minimum_version.empty()) continue;
    if (!is_version(version) || compare_versions(version, rule.minimum_version) < 0) {
      return failed("the bundle has version '" + version + "', the trust policy asks for '" +
                        rule.minimum_version + "' or later",
                    name, "Fetch a newer version.");
    }
  }
  return {};
}

Result<std::vector<Descriptor>> blobs_of(const StorePaths& paths, const StoredBundle& bundle) {
  std::map<std::string, Descriptor> blobs;
  BUNDLE_TRY(const auto manifests, oci::read_descriptors(bundle.index, "manifests", bundle.digest));
  for (const Descriptor& manifest : manifests) {
    blobs[manifest.digest] = manifest;
    BUNDLE_TRY(const Json document, read_document(paths, manifest));
    if (const Json* config = find(document, "config"); config != nullptr) {
      BUNDLE_TRY(Descriptor blob, oci::read_descriptor(*config, manifest.digest));
      blobs[blob.digest] = std::move(blob);
    }
  }
  for (const StoredLayer& layer : bundle.layers) blobs[layer.descriptor.digest] = layer.descriptor;
  std::vector<Descriptor> list;
  for (auto& [digest, blob] : blobs) list.push_back(std::move(blob));
  return list;
}

Status admit_digest(const StorePaths& paths, const std::vector<std::string>& names,
                    const std::string& digest, const Trust& trust) {
  BUNDLE_TRY(const bool needs, trust.needs_signature(names));
  if (!needs) return {};
  BUNDLE_TRY(const auto found, stored_signatures(paths, digest));
  BUNDLE_TRY(const auto checked, trust.check(names, found, digest));
  return {};
}

Status check_undamaged(const Store& store, const StoredBundle& bundle, const Progress& progress) {
  const StorePaths paths{store.root()};
  BUNDLE_TRY(const auto blobs, blobs_of(paths, bundle));
  return check_blobs(paths, blobs, false, progress);
}

Status admit(const Store& store, const StoredBundle& bundle, const Trust& trust,
             const Progress& progress) {
  const StorePaths paths{store.root()};
  const std::vector<std::string> names = names_of(bundle);
  BUNDLE_TRY(const bool needs, trust.needs_signature(names));
  if (!needs) return {};
  BUNDLE_TRY(const auto found, stored_signatures(paths, bundle.digest));
  BUNDLE_TRY(const auto checked, trust.check(names, found, bundle.digest));
  BUNDLE_CHECK(check_files(bundle, checked));
  BUNDLE_CHECK(trust.check_version(names, version_of(bundle)));
  BUNDLE_TRY(const auto blobs, blobs_of(paths, bundle));
  return check_blobs(paths, blobs, trust.full(), progress);
}

}  // namespace bundle::packager::signing
