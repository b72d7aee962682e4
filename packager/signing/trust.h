// What stands between a bundle and its use: the trust policy and the options of one command,
// applied at pull, import and serve.
#pragma once

#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "packager/signing/signatures.h"
#include "packager/signing/trust_policy.h"

namespace bundle::packager::signing {

/// What a command line asks for.
struct TrustOptions {
  bool require_signature = false;  // whatever the policy says
  bool full = false;               // hash every blob again
  std::vector<Path> keys;          // trusted for this command, beside the policy's
  Path policy;                     // "" takes $BUNDLE_HOME/trust.yaml, if there is one
};

/// A policy and options, loaded and checked. A value.
class Trust {
 public:
  static Result<Trust> load(const TrustOptions& options);

  /// Whether anything must be proved under any of these names; kFailed when one is rejected.
  Result<bool> needs_signature(const std::vector<std::string>& names) const;

  /// Checks signatures against what the names ask for. Looks at the digest alone, never at the
  /// bundle. Empty when nothing is asked.
  Result<std::vector<CheckedSignature>> check(const std::vector<std::string>& names,
                                              const std::vector<FoundSignature>& found,
                                              const std::string& digest) const;

  /// For a bundle that passed check(): refuses an older version than the policy allows.
  Status check_version(const std::vector<std::string>& names, const std::string& version) const;

  bool full() const { return options_.full; }

 private:
  TrustRule rule_for(const std::string& name) const;

  TrustOptions options_;
  TrustPolicy policy_;
  std::vector<TrustedKey> keys_;
};

/// For a bundle in the store, before anything of it but its documents is used: the signature that
/// the names ask for, then every blob against its digest (by record, or hashed). Does nothing where
/// nothing is asked.
Status admit(const Store& store, const StoredBundle& bundle, const Trust& trust,
             const Progress& progress);

/// Every blob against its digest, by record where its file has not changed since: damage goes
/// nowhere.
Status check_undamaged(const Store& store, const StoredBundle& bundle, const Progress& progress);

/// The same by digest alone, parsing nothing of the bundle: signature and index.
Status admit_digest(const StorePaths& paths, const std::vector<std::string>& names,
                    const std::string& digest, const Trust& trust);

/// What its bundle.yaml said; "" for nothing.
std::string version_of(const StoredBundle& bundle);

/// Every blob of a bundle: index, manifests, configs and layers.
Result<std::vector<Descriptor>> blobs_of(const StorePaths& paths, const StoredBundle& bundle);

}  // namespace bundle::packager::signing
