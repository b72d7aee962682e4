// What the store remembers of files that it packed, so that building again need not read 700 GB.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "packager/store_files.h"

namespace bundle::packager {

/// What changes when a file does. The kernel sets ctime itself: no program can put it back.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

/// Follows links. An error when the path is no regular file.
Result<FileStamp> stamp_file(const Path& path);
Result<FileStamp> stamp_descriptor(int fd, const Path& path);

/// A file as it was packed.
struct PackedFile {
  std::string sha256;        // of the file
  std::string layer_digest;  // of the layer with this one member
};

/// The memory itself. Not thread-safe; two processes may both write it, and the last one wins.
class HashCache {
 public:
  /// What cannot be read is forgotten.
  static HashCache load(const StorePaths& paths);

  /// What is known of `file` under this member path, if it has not changed since.
  std::optional<PackedFile> find(const Path& file, const FileStamp& stamp,
                                 std::string_view member) const;

  /// Remembers it, unless the file changed so lately that a further change might go unseen.
  void add(const Path& file, const FileStamp& stamp, std::string_view member,
           const PackedFile& packed);

  /// Writes the memory when it has changed.
  Status save(const StorePaths& paths) const;

 private:
  std::map<std::string, PackedFile> files_;
  bool is_changed_ = false;
};

}  // namespace bundle::packager
