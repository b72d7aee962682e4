#include "packager/transfer/volumes.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bundle::packager {
namespace {

constexpr std::uint64_t kCopyPiece = 8u << 20;
constexpr std::size_t kMostVolumes = 999;

bool is_volume_name(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot != std::string::npos && name.size() - dot == 4 &&
         name.find_first_not_of("0123456789", dot + 1) == std::string::npos;
}

Error stopped(const Path& file) {
  return {ErrorCode::kInterrupted, "the work was stopped", file.string()};
}

Path folder_of(const Path& file) { return file.has_parent_path() ? file.parent_path() : Path("."); }

Status sync_parent(const Path& file) {
  const Path folder = folder_of(file);
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return system_error("cannot sync the folder", folder.string());
  return {};
}

Status write_whole(int fd, std::string_view bytes, const std::string& where) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot write the file", where);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

/// One piece from file to file; 0 at the end of the source. Falls back to a buffer where the kernel
/// cannot copy between these two.
Result<std::uint64_t> copy_piece(int from, std::uint64_t offset, int to, std::uint64_t length,
                                 const std::string& where) {
  auto start = static_cast<off64_t>(offset);
  const ssize_t copied = ::copy_file_range(from, &start, to, nullptr, length, 0);
  if (copied >= 0) return static_cast<std::uint64_t>(copied);
  if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP &&
      errno != EBADF && errno != EPERM) {
    return system_error("cannot copy", where);
  }
  std::string buffer(std::min<std::uint64_t>(length, 1u << 20), '\0');
  const ssize_t n = ::pread(from, buffer.data(), buffer.size(), static_cast<off_t>(offset));
  if (n < 0) return system_error("cannot read", where);
  BUNDLE_CHECK(
      write_whole(to, std::string_view(buffer).substr(0, static_cast<std::size_t>(n)), where));
  return static_cast<std::uint64_t>(n);
}

/// The name by which the kernel knows an open file that has none in a folder.
std::string name_of_open(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

/// A file without a name: however the process ends, nothing stays of it. Empty where the file
/// system has no such files, or where /proc is not there to name it in the end.
Fd open_nameless(const Path& folder) {
  Fd fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0644));
  if (!fd || ::access(name_of_open(fd.get()).c_str(), F_OK) != 0) return {};
  return fd;
}

}  // namespace

VolumeWriter::~VolumeWriter() {
  for (const Volume& volume : volumes_) {
    if (!volume.temporary.empty()) ::unlink(volume.temporary.c_str());
  }
}

Path VolumeWriter::name_of(std::size_t index) const {
  return volume_bytes_ == 0 ? file_ : Path(fmt::format("{}.{:03}", file_.string(), index + 1));
}

std::vector<Path> VolumeWriter::names() const {
  std::vector<Path> names;
  for (std::size_t i = 0; i < volumes_.size(); ++i) names.push_back(name_of(i));
  return names;
}

std::vector<Path> VolumeWriter::later_volumes() const {
  std::vector<Path> later;
  std::error_code error;
  for (std::size_t i = volumes_.size(); volume_bytes_ > 0 && i < kMostVolumes; ++i) {
    if (!std::filesystem::exists(name_of(i), error)) break;
    later.push_back(name_of(i));
  }
  return later;
}

std::uint64_t VolumeWriter::room(const Volume& volume) const {
  return volume_bytes_ == 0 ? ~std::uint64_t{0} : volume_bytes_ - volume.size;
}

Status VolumeWriter::open_next() {
  if (volumes_.size() == kMostVolumes) {
    return Error{ErrorCode::kUsage, "over 999 volumes would be needed", file_.string(),
                 "Choose larger ones."};
  }
  Volume volume;
  const Path name = name_of(volumes_.size());
  volume.fd = open_nameless(folder_of(name));
  if (!volume.fd) {
    volume.temporary = name.string() + ".tmp.XXXXXX";
    volume.fd = Fd(::mkostemp(volume.temporary.data(), O_CLOEXEC));
  }
  if (!volume.fd) return system_error("cannot create a file", name.string());
  ::fchmod(volume.fd.get(), 0644);
  volumes_.push_back(std::move(volume));
  return {};
}

Result<VolumeWriter::Volume*> VolumeWriter::current() {
  if (volumes_.empty() || room(volumes_.back()) == 0) BUNDLE_CHECK(open_next());
  return &volumes_.back();
}

Status VolumeWriter::write(std::string_view bytes) {
  while (!bytes.empty()) {
    BUNDLE_TRY(Volume* const volume, current());
    const std::string_view part =
        bytes.substr(0, std::min<std::uint64_t>(bytes.size(), room(*volume)));
    BUNDLE_CHECK(write_whole(volume->fd.get(), part, name_of(volumes_.size() - 1).string()));
    volume->size += part.size();
    written_ += part.size();
    bytes.remove_prefix(part.size());
  }
  return {};
}

Status VolumeWriter::copy(int from, std::uint64_t offset, std::uint64_t length, const Path& where,
                          const CopyMeter& meter) {
  while (length > 0) {
    BUNDLE_TRY(Volume* const volume, current());
    const std::uint64_t wanted = std::min({length, kCopyPiece, room(*volume)});
    BUNDLE_TRY(const std::uint64_t n, copy_piece(from, offset, volume->fd.get(), wanted,
                                                 name_of(volumes_.size() - 1).string()));
    if (n == 0) return bad_input("the file is cut short", where.string());
    volume->size += n;
    written_ += n;
    offset += n;
    length -= n;
    if (meter && !meter(n)) return stopped(file_);
  }
  return {};
}

Status VolumeWriter::commit(bool replace) {
  std::error_code error;
  std::vector<Path> taken = names();
  // Whoever reads the volumes goes on to the next as long as there is one.
  const std::vector<Path> later = later_volumes();
  taken.insert(taken.end(), later.begin(), later.end());
  for (const Path& name : taken) {
    if (!replace && std::filesystem::exists(name, error)) {
      return failed("the file is there already", name.string(),
                    "Name another one, or allow it with --force.");
    }
  }
  for (const Path& name : later) {
    if (!std::filesystem::remove(name, error)) {
      return failed("cannot remove an older export's volume", name.string());
    }
  }
  for (std::size_t i = 0; i < volumes_.size(); ++i) {
    BUNDLE_CHECK(give_name(volumes_[i], name_of(i)));
  }
  return sync_parent(file_);
}

Status VolumeWriter::give_name(Volume& volume, const Path& name) {
  if (::fsync(volume.fd.get()) != 0) return system_error("cannot sync", name.string());
  if (volume.temporary.empty()) {
    const std::string open = name_of_open(volume.fd.get());
    const auto link = [&](const std::string& to) {
      return ::linkat(AT_FDCWD, open.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0;
    };
    if (link(name.string())) return {};
    // The name is taken, and only a rename replaces a file in one step.
    const std::string beside = fmt::format("{}.tmp.{}", name.string(), ::getpid());
    if (errno != EEXIST) return system_error("cannot name the file", name.string());
    ::unlink(beside.c_str());  // of a process that had this number before
    if (!link(beside)) return system_error("cannot name the file", beside);
    volume.temporary = beside;
  }
  if (::rename(volume.temporary.c_str(), name.c_str()) != 0) {
    return system_error("cannot rename a file into place", name.string());
  }
  volume.temporary.clear();
  return {};
}

Result<VolumeReader> VolumeReader::open(const Path& file) {
  std::error_code error;
  std::string base = file.string();
  const bool is_single = std::filesystem::exists(file, error) && !is_volume_name(base);
  if (!is_single && is_volume_name(base)) base.resize(base.size() - 4);
  VolumeReader reader;
  reader.name_ = file.string();
  for (std::size_t i = 1; i <= kMostVolumes; ++i) {
    const std::string name = is_single ? base : fmt::format("{}.{:03}", base, i);
    Fd fd(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd && errno == ENOENT && i > 1) break;
    if (!fd) return system_error("cannot open the archive", i == 1 ? file.string() : name);
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return system_error("cannot stat the archive", name);
    if (!S_ISREG(info.st_mode)) return bad_input("the archive is no regular file", name);
    const auto size = static_cast<std::uint64_t>(info.st_size);
    reader.volumes_.push_back({std::move(fd), reader.size_, size});
    reader.size_ += size;
    if (is_single) break;
  }
  return reader;
}

Result<std::string> VolumeReader::read(std::uint64_t offset, std::uint64_t length) const {
  if (offset > size_ || length > size_ - offset) {
    return bad_input("the archive is cut short", name_,
                     volumes_.size() > 1 ? "Are all its volumes there?" : "Copy it again.");
  }
  std::string bytes(length, '\0');
  std::size_t done = 0;
  for (const Volume& volume : volumes_) {
    while (done < length && offset + done < volume.start + volume.size) {
      const std::uint64_t at = offset + done - volume.start;
      const std::uint64_t wanted = std::min(length - done, volume.size - at);
      const ssize_t n =
          ::pread(volume.fd.get(), bytes.data() + done, wanted, static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return system_error("cannot read the archive", name_);
      if (n == 0) return bad_input("the archive became shorter while it was read", name_);
      done += static_cast<std::size_t>(n);
    }
  }
  return bytes;
}

}  // namespace bundle::packager
