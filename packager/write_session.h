// One writer's stay in the store: blobs that it puts there are safe from garbage collection until
// it has tagged them or is gone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "packager/store.h"
#include "packager/store_files.h"
#include "packager/store_index.h"
#include "packager/verified_blobs.h"

namespace bundle::packager {

/// Not thread-safe; any number of sessions, in any number of processes, may be open at a time.
class WriteSession {
 public:
  /// Makes the layout where there is none yet, and takes the blobs lock, shared.
  static Result<WriteSession> begin(const StorePaths& paths);

  const StorePaths& paths() const { return paths_; }

  /// True when the blob is there with that size.
  bool holds(std::string_view digest, std::uint64_t size) const;

  /// Puts a small blob, unless it is there.
  Result<Descriptor> put(std::string_view media_type, std::string_view text);

  Result<TemporaryFile> temporary() const { return TemporaryFile::create(paths_); }

  /// Moves a written file to the digest that was taken of it, and notes that it was. A blob that is
  /// there is replaced: it may be damaged, and who has mapped it keeps the old one.
  Status adopt(TemporaryFile file, std::string_view digest);

  /// The same for a file that was written elsewhere in the store.
  Status adopt(const Path& written, std::string_view digest);

  /// Points NAME:TAG at blobs that are all there.
  Status tag(const std::string& name, const std::string& tag, const Descriptor& bundle,
             const std::vector<Variant>& variants);

 private:
  WriteSession(StorePaths paths, FileLock lock)
      : paths_(std::move(paths)), lock_(std::move(lock)), verified_(VerifiedBlobs::load(paths_)) {}

  StorePaths paths_;
  FileLock lock_;
  VerifiedBlobs verified_;
};

}  // namespace bundle::packager
