// `bundle push`: a bundle of the store into a registry, with what refers to it.
#pragma once

#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "packager/registry/connection.h"
#include "packager/registry/remote_reference.h"
#include "packager/store.h"

namespace bundle::packager::registry {

struct PushOptions {
  RegistryOptions registry;
  int parallel = 4;
  std::uint64_t chunk_bytes = 64u << 20;
  std::vector<std::string> mount_from;  // repositories of the same registry to take blobs from
};

struct PushReport {
  std::string reference;  // with digest
  std::string digest;
  std::uint64_t size = 0;         // of all blobs
  std::uint64_t transferred = 0;  // bytes of blobs that were uploaded
  std::size_t num_mounted = 0;
  std::size_t num_referrers = 0;
};

/// Uploads blobs that the registry lacks, then manifests, then the index under the tag, then
/// signatures and other referrers (where the registry has no referrers API, under the stand-in
/// tag), and cosign's tag. Digests stay. Interrupted, it goes on where it stopped.
Result<PushReport> push(const StoredBundle& bundle, const Store& store,
                        const RemoteReference& remote, const PushOptions& options,
                        const Progress& progress);

}  // namespace bundle::packager::registry
