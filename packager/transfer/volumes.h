// One long file, or several short ones that follow each other: NAME.001, NAME.002, …
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace bundle::packager {

/// Told how many bytes more were moved; false stops the work with kInterrupted.
using CopyMeter = std::function<bool(std::uint64_t more)>;

/// Writes files without a name, or under temporary ones where a file system has no such files;
/// commit gives the final names. What is not committed is deleted. Not thread-safe.
class VolumeWriter {
 public:
  /// `volume_bytes` 0: one file of any size, named `file` itself.
  VolumeWriter(Path file, std::uint64_t volume_bytes)
      : file_(std::move(file)), volume_bytes_(volume_bytes) {}
  VolumeWriter(const VolumeWriter&) = delete;
  VolumeWriter& operator=(const VolumeWriter&) = delete;
  ~VolumeWriter();

  Status write(std::string_view bytes);
  /// Copies a part of a file, inside the kernel where it can: the file system may then share the
  /// blocks.
  Status copy(int from, std::uint64_t offset, std::uint64_t length, const Path& where,
              const CopyMeter& meter);
  /// Syncs and renames; refuses, with kFailed, names that are taken unless `replace`.
  Status commit(bool replace);

  std::uint64_t written() const { return written_; }
  std::vector<Path> names() const;
  /// The descriptor of the first volume.
  int fd() const { return volumes_.empty() ? -1 : volumes_.front().fd.get(); }

 private:
  struct Volume {
    Fd fd;
    std::string temporary;  // its name before the final one, or ""
    std::uint64_t size = 0;
  };

  Status open_next();
  static Status give_name(Volume& volume, const Path& name);
  /// The volume to write to, with room in it.
  Result<Volume*> current();
  /// Those of an older export that would follow the last.
  std::vector<Path> later_volumes() const;
  std::uint64_t room(const Volume& volume) const;
  Path name_of(std::size_t index) const;

  Path file_;
  std::uint64_t volume_bytes_;
  std::uint64_t written_ = 0;
  std::vector<Volume> volumes_;
};

/// Reads them as one. Thread-safe.
class VolumeReader {
 public:
  /// `file` is the one file, or any volume, or the name without ".001".
  static Result<VolumeReader> open(const Path& file);

  std::uint64_t size() const { return size_; }
  std::string name() const { return name_; }

  /// Exactly `length` bytes. kBadInput when they are not there.
  Result<std::string> read(std::uint64_t offset, std::uint64_t length) const;

 private:
  struct Volume {
    Fd fd;
    std::uint64_t start = 0;
    std::uint64_t size = 0;
  };

  std::vector<Volume> volumes_;
  std::uint64_t size_ = 0;
  std::string name_;
};

}  // namespace bundle::packager
