#include "packager/store_files.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bundle::packager {
namespace {

Result<Fd> open_lock(const Path& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  // A store that belongs to another user can still be read under its lock.
  if (!fd) fd = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error("cannot open the store's lock", path.string());
  return fd;
}

int lock_file(int fd, int operation) {
  int result = ::flock(fd, operation);
  while (result != 0 && errno == EINTR) result = ::flock(fd, operation);
  return result;
}

Result<Fd> locked(const Path& path, int operation) {
  BUNDLE_TRY(Fd fd, open_lock(path));
  if (lock_file(fd.get(), operation) != 0) {
    return system_error("cannot lock the store", path.string());
  }
  return fd;
}

Status sync_folder(const Path& folder) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) {
    return system_error("cannot sync the folder", folder.string());
  }
  return {};
}

}  // namespace

Result<FileLock> FileLock::shared(const Path& path) {
  BUNDLE_TRY(Fd fd, locked(path, LOCK_SH));
  return FileLock(std::move(fd));
}

Result<FileLock> FileLock::exclusive(const Path& path) {
  BUNDLE_TRY(Fd fd, locked(path, LOCK_EX));
  return FileLock(std::move(fd));
}

Result<std::optional<FileLock>> FileLock::try_exclusive(const Path& path) {
  BUNDLE_TRY(Fd fd, open_lock(path));
  if (lock_file(fd.get(), LOCK_EX | LOCK_NB) == 0) return std::optional(FileLock(std::move(fd)));
  if (errno == EWOULDBLOCK) return std::optional<FileLock>();
  return system_error("cannot lock the store", path.string());
}

Status FileLock::make_shared() {
  if (lock_file(fd_.get(), LOCK_SH) != 0) return system_error("cannot lock the store");
  return {};
}

bool FileLock::is_at(const Path& path) const {
  struct stat held {};
  struct stat there {};
  return ::fstat(fd_.get(), &held) == 0 && ::stat(path.c_str(), &there) == 0 &&
         held.st_ino == there.st_ino && held.st_dev == there.st_dev;
}

Result<TemporaryFile> TemporaryFile::create(const StorePaths& paths) {
  std::string path = (paths.temporary() / "write-XXXXXX").string();
  Fd fd(::mkostemp(path.data(), O_CLOEXEC));
  if (!fd) return system_error("cannot create a file in the store", path);
  TemporaryFile file(std::move(fd), std::move(path));
  // The umask must not decide whether a container's user can read the layers.
  if (::fchmod(file.fd(), 0644) != 0) return system_error("cannot set a file's mode", file.path_);
  return file;
}

TemporaryFile::~TemporaryFile() {
  if (fd_ && !path_.empty()) ::unlink(path_.c_str());
}

Status move_into_place(const Path& written, const Path& target) {
  const Fd fd(::open(written.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return system_error("cannot sync the file", written.string());
  if (::rename(written.c_str(), target.c_str()) != 0) {
    return system_error("cannot rename a file into place", target.string());
  }
  return sync_folder(target.parent_path());
}

Status TemporaryFile::write(std::string_view text) { return write_all(fd(), text, path_); }

Status TemporaryFile::commit(const Path& target) {
  if (::fsync(fd()) != 0) return system_error("cannot sync the file", path_);
  if (::rename(path_.c_str(), target.c_str()) != 0) {
    return system_error("cannot rename a file into place", target.string());
  }
  fd_.reset();
  return sync_folder(target.parent_path());
}

Status write_all(int fd, std::string_view text, const std::string& where) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot write the file", where);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Status replace_file(const StorePaths& paths, const Path& target, std::string_view text) {
  BUNDLE_TRY(TemporaryFile file, TemporaryFile::create(paths));
  BUNDLE_CHECK(file.write(text));
  return file.commit(target);
}

void clear_temporaries(const StorePaths& paths) {
  std::error_code error;
  if (!std::filesystem::exists(paths.temporary(), error)) return;
  if (std::filesystem::is_empty(paths.temporary(), error) || error) return;
  const auto lock = FileLock::try_exclusive(paths.blobs_lock());
  if (!lock || !lock->has_value()) return;
  for (const auto& entry : std::filesystem::directory_iterator(paths.temporary(), error)) {
    std::error_code ignored;
    std::filesystem::remove(entry.path(), ignored);
  }
}

}  // namespace bundle::packager
