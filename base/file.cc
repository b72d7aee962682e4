#include "base/file.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bundle {
namespace {

std::uint64_t page_size() { return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)); }

/// A named pipe that nobody writes to is empty: opened as usual, it would wait without end.
Result<Fd> open_for_reading(const Path& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return system_error("cannot open the file", path.string());
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK) != 0) {
    return system_error("cannot open the file", path.string());
  }
  return fd;
}

/// Size of a regular file; other kinds (folders, pipes) are refused, since they cannot be mapped.
Result<std::uint64_t> regular_size(const Fd& fd, const Path& path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error("cannot stat the file", path.string());
  if (!S_ISREG(info.st_mode)) return bad_input("not a regular file", path.string());
  return static_cast<std::uint64_t>(info.st_size);
}

Status write_all(int fd, std::string_view text, const Path& path) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot write the file", path.string());
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Status write_and_sync(Fd fd, std::string_view text, const Path& path) {
  BUNDLE_CHECK(write_all(fd.get(), text, path));
  if (::fsync(fd.get()) != 0) return system_error("cannot sync the file", path.string());
  return {};
}

}  // namespace

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(mapped_, other.mapped_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (base_ != nullptr) ::munmap(base_, mapped_);
}

Result<MappedFile> MappedFile::open(const Path& path, std::uint64_t offset, std::uint64_t length) {
  BUNDLE_TRY(Fd fd, open_for_reading(path));
  BUNDLE_TRY(const std::uint64_t size, regular_size(fd, path));
  if (offset > size || length > size - offset) {
    return bad_input("the file has " + std::to_string(size) + " bytes, too few for " +
                         std::to_string(length) + " at offset " + std::to_string(offset),
                     path.string(), "It is truncated; fetch or build it again.");
  }
  MappedFile map;
  if (length == 0) return map;
  const std::uint64_t skip = offset % page_size();
  void* base = ::mmap(nullptr, length + skip, PROT_READ, MAP_PRIVATE, fd.get(),
                      static_cast<off_t>(offset - skip));
  if (base == MAP_FAILED) return system_error("cannot map the file", path.string());
  map.base_ = base;
  map.mapped_ = length + skip;
  map.bytes_ = Bytes(static_cast<const std::byte*>(base) + skip, length);
  return map;
}

Result<MappedFile> MappedFile::open(const Path& path) {
  BUNDLE_TRY(Fd fd, open_for_reading(path));
  BUNDLE_TRY(const std::uint64_t size, regular_size(fd, path));
  return open(path, 0, size);
}

void MappedFile::drop(Bytes part) const {
  const std::uintptr_t page = page_size();
  const auto begin = (reinterpret_cast<std::uintptr_t>(part.data()) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(part.data()) + part.size()) / page * page;
  if (end > begin) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

Result<std::string> read_file(const Path& path, std::uint64_t cap) {
  BUNDLE_TRY(Fd fd, open_for_reading(path));
  std::string text;
  char chunk[1 << 16];
  for (;;) {
    const ssize_t n = ::read(fd.get(), chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read the file", path.string());
    if (n == 0) return text;
    if (text.size() + static_cast<std::size_t>(n) > cap) {
      return bad_input("the file is larger than " + std::to_string(cap) + " bytes", path.string());
    }
    text.append(chunk, static_cast<std::size_t>(n));
  }
}

Status write_file_atomic(const Path& path, std::string_view text) {
  std::string name = path.string() + ".tmp.XXXXXX";
  Fd fd(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd) return system_error("cannot create a file", name);
  ::fchmod(fd.get(), 0644);
  Status written = write_and_sync(std::move(fd), text, path);
  if (written && ::rename(name.c_str(), path.c_str()) != 0) {
    written = system_error("cannot rename a file into place", path.string());
  }
  if (!written) ::unlink(name.c_str());
  return written;
}

Status make_directories(const Path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return failed("cannot create the folder: " + error.message(), path.string());
  return {};
}

Path bundle_home() {
  if (const char* home = std::getenv("BUNDLE_HOME"); home != nullptr && *home != '\0') return home;
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data != '\0') {
    return Path(data) / "bundle";
  }
  const char* user = std::getenv("HOME");
  return Path(user != nullptr ? user : "/") / ".local/share/bundle";
}

}  // namespace bundle
