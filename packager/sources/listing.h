// What a source offers: files with their sizes and digests, and how to ask for them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "packager/download/retry.h"
#include "packager/registry/connection.h"
#include "packager/sources/source_uri.h"

namespace bundle::packager::sources {

struct ListedFile {
  std::string name;  // its last part
  std::string url;
  std::uint64_t size = 0;
  std::string sha256;     // 64 hex digits, or ""
  std::string git_sha1;   // of git's blob, 40 hex digits, or ""
  std::string md5;        // S3's ETag of an object in one part, or ""
  std::string etag;       // sent back as If-Match, so that a file that changes meanwhile is noticed
  bool is_layer = false;  // a layer of a bundle (layer format 1), whose members are the files
};

/// A source at one moment.
struct Listing {
  std::string revision;  // hub: the commit; registry: the manifest's digest; else ""
  std::string name;      // for the bundle: the repository's or folder's last part
  std::vector<ListedFile> files;
  /// Sends a request with the source's authorization, along redirects. For one thread.
  std::function<SendHttp()> make_sender;
  ExplainAnswer explain;
};

/// From https://huggingface.co, or $HF_ENDPOINT; with $HF_TOKEN, or the token that the hub's own
/// tools keep. A gated model is kUnreachable and says what to do.
Result<Listing> list_hub(const SourceUri& uri, const std::function<bool()>& go_on);

/// From S3 in $AWS_REGION, or $AWS_ENDPOINT_URL_S3 / $AWS_ENDPOINT_URL; with the keys of the
/// environment or of ~/.aws/credentials, or unsigned.
Result<Listing> list_s3(const SourceUri& uri, const std::function<bool()>& go_on);

/// The one file of an https source.
Result<Listing> list_https(const SourceUri& uri, const std::function<bool()>& go_on);

/// The ModelPack artifact that a reference names, or that of the bundle that it names. Layers that
/// are raw files, or of bundles, are read; compressed ones are kUsage.
Result<Listing> list_oci(const SourceUri& uri, const registry::RegistryOptions& options,
                         const std::function<bool()>& go_on);

}  // namespace bundle::packager::sources
