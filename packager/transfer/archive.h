// A bundle as one file: a tar of an OCI image layout (what skopeo calls an oci-archive), for hosts
// without a network. docs/moving.md is its text.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "packager/signing/trust.h"
#include "packager/store.h"

namespace bundle::packager {

struct ExportOptions {
  std::set<std::string> have = {};  // digests of blobs that the other side has: left out
  std::uint64_t volume_bytes = 0;   // 0: one file
  bool replace = false;             // overwrite what is there
};

struct ExportReport {
  std::vector<Path> files;
  std::uint64_t size = 0;      // of the files
  std::uint64_t left_out = 0;  // bytes of blobs that the other side has
};

/// Writes index, documents and referrers first, then layers. The same bundle gives the same bytes.
Result<ExportReport> export_archive(const Store& store, const StoredBundle& bundle,
                                    const Path& file, const ExportOptions& options,
                                    const Progress& progress);

/// Only the image that this host runs, as 'docker load' and 'podman load' read it.
Result<ExportReport> export_docker_archive(const Store& store, const StoredBundle& bundle,
                                           const Path& file, const ExportOptions& options,
                                           const Progress& progress);

struct ImportOptions {
  std::string name;  // "NAME[:TAG]"; "" takes the archive's. Only for one bundle
};

struct ImportedBundle {
  std::string name;
  std::string tag;
  std::string digest;
  std::uint64_t size = 0;         // of all blobs
  std::uint64_t transferred = 0;  // of those that the store lacked
};

/// Reads what export_archive writes, and other tools' archives of our bundles. Nothing is written
/// outside the store, and no name in the archive becomes a path. Refused: members that are no
/// blobs, links and devices, members that come twice, sizes that disagree, bytes after the end,
/// blobs that no bundle needs or that do not have their digest, and what `trust` does not admit.
Result<std::vector<ImportedBundle>> import_archive(const Path& file, Store& store,
                                                   const ImportOptions& options,
                                                   const signing::Trust& trust,
                                                   const Progress& progress);

}  // namespace bundle::packager
