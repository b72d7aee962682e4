// Files: owned descriptors, read-only maps, whole reads under a cap, and writes that are all or
// nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace bundle {

using Path = std::filesystem::path;

/// Owns one file descriptor and closes it.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

/// A read-only private map of a byte range of a file. Its bytes live as long as it does.
/// Thread-safe. A file that another process cuts short under the map raises SIGBUS on access;
/// bundles are content-addressed and never rewritten in place.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  /// Maps [offset, offset + length); the offset need not be page-aligned.
  /// An error when the range leaves the file.
  static Result<MappedFile> open(const Path& path, std::uint64_t offset, std::uint64_t length);
  /// Maps the whole file.
  static Result<MappedFile> open(const Path& path);

  Bytes bytes() const { return bytes_; }

  /// Lets the kernel drop the pages wholly inside `part` of bytes() from this process's memory;
  /// they are read again from the page cache when touched.
  void drop(Bytes part) const;

 private:
  void* base_ = nullptr;  // page-aligned start of the map
  std::size_t mapped_ = 0;
  Bytes bytes_;
};

/// The whole file as text. An error when it is larger than `cap` bytes.
Result<std::string> read_file(const Path& path, std::uint64_t cap = 64u << 20);

/// Writes through a temporary file beside `path`, syncs it, and renames it over: a reader sees the
/// old bytes or the new ones, and a crash leaves no half file under the name.
Status write_file_atomic(const Path& path, std::string_view text);

/// mkdir -p.
Status make_directories(const Path& path);

/// $BUNDLE_HOME, else $XDG_DATA_HOME/bundle, else ~/.local/share/bundle.
Path bundle_home();

}  // namespace bundle
