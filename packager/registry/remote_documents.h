// Small things in a registry: manifests, blobs that are read whole, and what refers to a manifest.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "packager/referrers.h"
#include "packager/registry/connection.h"

namespace bundle::packager::registry {

struct RemoteManifest {
  Descriptor descriptor;  // with the digest that was computed of the text
  std::string text;
};

/// By tag or digest; a digest is checked. At most 4 MiB.
Result<RemoteManifest> get_manifest(Connection& connection, const std::string& target,
                                    const std::function<bool()>& go_on);

/// A blob of at most `cap` bytes, checked against its digest.
Result<std::string> get_blob(Connection& connection, const Descriptor& blob, std::uint64_t cap,
                             const std::function<bool()>& go_on);

/// A referrer with its manifest's text.
struct RemoteReferrer {
  Referrer referrer;
  std::string text;
};

/// What refers to a manifest: by the referrers API, else by the tag sha256-<digest> that stands in
/// for it, and cosign's tag. At most kMostReferrers; those that cannot be read are passed over.
Result<std::vector<RemoteReferrer>> get_referrers(Connection& connection, const std::string& digest,
                                                  const std::function<bool()>& go_on);

/// "sha256:abc…" -> "sha256-abc…": the tag of the stand-in for the referrers API.
std::string referrers_tag(std::string_view digest);

}  // namespace bundle::packager::registry
