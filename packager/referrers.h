// What is said about a bundle outside its digest: signatures, provenance, reports. Each is an OCI
// manifest whose `subject` is the bundle (or one of its manifests), listed in index.json beside the
// bundles; it goes when its subject goes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "packager/store.h"
#include "packager/store_files.h"
#include "packager/write_session.h"

namespace bundle::packager {

/// Most referrers of one subject that are looked at: a registry may offer any number.
inline constexpr std::size_t kMostReferrers = 128;

/// A stored referrer, checked against its digest.
struct Referrer {
  Descriptor manifest;
  std::string artifact_type;
  std::string subject;  // digest
  Json document;        // the manifest
  std::vector<Descriptor> layers;
};

/// A blob of a referrer to be written.
struct ReferrerLayer {
  std::string media_type;
  std::string text;
  JsonObject annotations = {};
};

/// The referrers of a subject, in the order in which they were added. One that is damaged is
/// kBadInput.
Result<std::vector<Referrer>> referrers_of(const StorePaths& paths, std::string_view subject);

/// Checks a manifest that came from elsewhere: if it names a subject, then this one.
Result<Referrer> read_referrer(const Descriptor& manifest, std::string_view text,
                               std::string_view subject);

/// Writes the blobs and the manifest of a referrer, and lists it. `config_type` and `config` are
/// the manifest's config; OCI's empty one by default. Writing the same again changes nothing.
struct NewReferrer {
  std::string artifact_type;
  Descriptor subject;
  std::vector<ReferrerLayer> layers;
  JsonObject annotations = {};
  std::string config_type = "application/vnd.oci.empty.v1+json";
  std::string config = "{}";
};
Result<Descriptor> add_referrer(WriteSession& session, const NewReferrer& referrer);

/// Lists a referrer whose blobs are all in the store.
Status list_referrer(const StorePaths& paths, const Referrer& referrer);

/// Takes referrers out of the list; gc frees them.
Status drop_referrers(const StorePaths& paths, const std::vector<std::string>& digests);

}  // namespace bundle::packager
