// The members of an archive, found by their headers alone: which blobs it holds and where.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "packager/transfer/volumes.h"

namespace bundle::packager {

/// Where a member's data lies.
struct ArchiveMember {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// An archive whose every header was checked. Thread-safe.
class ArchiveReader {
 public:
  /// kBadInput for anything that is not a plain tar of an OCI image layout.
  static Result<ArchiveReader> open(const Path& file);

  const VolumeReader& file() const { return file_; }
  /// index.json, at most 16 MiB.
  Result<std::string> index() const;
  /// By digest; null when it is not in the archive.
  const ArchiveMember* blob(const std::string& digest) const;
  const std::map<std::string, ArchiveMember>& blobs() const { return blobs_; }
  /// The text of a blob of at most `cap` bytes; its digest is not checked.
  Result<std::string> read(const ArchiveMember& member, std::uint64_t cap) const;

 private:
  class Scanner;
  explicit ArchiveReader(VolumeReader file) : file_(std::move(file)) {}

  VolumeReader file_;
  ArchiveMember index_;
  std::map<std::string, ArchiveMember> blobs_;
};

}  // namespace bundle::packager
