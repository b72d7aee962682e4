// A bundle on its way into the store from a registry or an archive: its documents are read and
// checked first, then its blobs arrive, and only when everything is there does a tag name it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "packager/referrers.h"
#include "packager/store.h"
#include "packager/write_session.h"

namespace bundle::packager {

/// The documents of a bundle, each checked against its digest; nothing of the layers yet.
struct BundleDocuments {
  struct Text {
    Descriptor blob;
    std::string text;
  };
  Text index;
  std::vector<Text> manifests;
  std::vector<Variant> variants;  // as index.json will tag them
  std::vector<Descriptor> blobs;  // configs and layers, each once
  std::string version;            // org.opencontainers.image.version, or ""
};

/// Fetches one blob or manifest whole. The result is checked against digest and size here.
using FetchDocument = std::function<Result<std::string>(const Descriptor& blob)>;

/// Parses an index and fetches its manifests: at most 16, none of them an index, and every layer
/// of a type that is no bundle's is kBadInput.
Result<BundleDocuments> read_bundle_documents(const Descriptor& index, std::string text,
                                              const FetchDocument& fetch);

/// Whether text has this size and digest.
Status check_text(const Descriptor& blob, std::string_view text);

/// Puts the documents beside blobs that are all there, opens the bundle as `serve` would, lists the
/// referrers and sets the tag. kBadInput, and no tag, when it cannot be opened.
Status finish_bundle(WriteSession& session, const BundleDocuments& documents,
                     const std::vector<Referrer>& referrers, const std::string& name,
                     const std::string& tag);

}  // namespace bundle::packager
