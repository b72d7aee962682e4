// Which blobs had the digest that names them, and what the kernel said of their files then. A
// later check of a signature trusts the record while the file is the same (inode and ctime, which
// no program can set back), since hashing 700 GB at each start takes half an hour.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "packager/hash_cache.h"
#include "packager/store.h"
#include "packager/store_files.h"

namespace bundle::packager {

/// Not thread-safe. Processes may write it at the same time: the last one wins, and what is lost is
/// hashed again.
class VerifiedBlobs {
 public:
  /// What cannot be read is forgotten.
  static VerifiedBlobs load(const StorePaths& paths);

  /// Whether the blob's file is the one that was hashed.
  bool knows(const StorePaths& paths, const std::string& digest) const;

  /// Remembers the blob's file as it is now: it has just been hashed.
  void add(const StorePaths& paths, const std::string& digest);

  /// Writes the record, without the blobs that are gone, when it has changed.
  Status save(const StorePaths& paths);

 private:
  std::map<std::string, FileStamp> files_;
  bool is_changed_ = false;
};

/// Hashes one blob whole; `more` is told of the bytes read and stops by false. kBadInput when size
/// or digest is wrong.
Status hash_blob(const StorePaths& paths, const Descriptor& blob,
                 const std::function<bool(std::uint64_t more)>& more);

/// Hashes the blobs whose files the record does not know, all of them when `full`, and remembers
/// them. kBadInput when a size or digest is wrong.
Status check_blobs(const StorePaths& paths, const std::vector<Descriptor>& blobs, bool full,
                   const Progress& progress);

}  // namespace bundle::packager
