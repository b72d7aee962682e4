// `bundle pull`: a bundle from a registry into the store.
#pragma once

#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "packager/registry/connection.h"
#include "packager/registry/remote_reference.h"
#include "packager/signing/trust.h"
#include "packager/store.h"

namespace bundle::packager::registry {

struct PullOptions {
  RegistryOptions registry;
  std::string name;  // "NAME[:TAG]" in the store; "" takes the repository's last part and the tag
  int parallel = 4;
};

struct PullReport {
  std::string name;
  std::string tag;
  std::string digest;
  std::uint64_t size = 0;         // of all blobs
  std::uint64_t transferred = 0;  // of those that the store did not have
  std::size_t num_signatures = 0;
};

/// Fetches what the store lacks. The signature that `trust` asks for is checked on the digest alone
/// before anything of the bundle is parsed. Interrupted, it goes on where it stopped.
/// kNotFound when the registry has no such bundle; kBadInput when it lies.
Result<PullReport> pull(const RemoteReference& remote, Store& store, const PullOptions& options,
                        const signing::Trust& trust, const Progress& progress);

}  // namespace bundle::packager::registry
