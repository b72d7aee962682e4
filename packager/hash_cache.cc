#include "packager/hash_cache.h"

#include <ctime>
#include <fmt/format.h>
#include <sys/stat.h>

#include <boost/json/object.hpp>

#include "base/json.h"
#include "packager/reference.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kMostFiles = 4096;
constexpr std::int64_t kSecond = 1'000'000'000;
/// Timestamps are as coarse as 2 s on some file systems: two changes within may look like one.
constexpr std::int64_t kSettled = 2 * kSecond;

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }

FileStamp make_stamp(const struct stat& info) {
  return {info.st_dev, info.st_ino, static_cast<std::uint64_t>(info.st_size),
          nanoseconds(info.st_mtim), nanoseconds(info.st_ctim)};
}

std::string key_of(const Path& file, const FileStamp& stamp, std::string_view member) {
  std::error_code error;
  const Path absolute = std::filesystem::absolute(file, error);
  return fmt::format("{} {} {} {} {} {}\n{}", stamp.device, stamp.inode, stamp.size, stamp.mtime_ns,
                     stamp.ctime_ns, member, absolute.string());
}

}  // namespace

Result<FileStamp> stamp_file(const Path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return system_error("cannot stat the file", path.string());
  if (!S_ISREG(info.st_mode)) return bad_input("not a regular file", path.string());
  return make_stamp(info);
}

Result<FileStamp> stamp_descriptor(int fd, const Path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return system_error("cannot stat the file", path.string());
  if (!S_ISREG(info.st_mode)) return bad_input("not a regular file", path.string());
  return make_stamp(info);
}

HashCache HashCache::load(const StorePaths& paths) {
  HashCache cache;
  const auto document = read_json_file(paths.hashes().string());
  if (!document || !document->is_object()) return cache;
  for (const auto& [key, value] : document->get_object()) {
    const auto sha256 = get_string(value, "sha256", "");
    const auto layer = get_string(value, "layer", "");
    if (!sha256 || !layer || !is_valid_digest(*layer) || !is_valid_digest("sha256:" + *sha256)) {
      continue;
    }
    cache.files_[key] = {*sha256, *layer};
  }
  return cache;
}

std::optional<PackedFile> HashCache::find(const Path& file, const FileStamp& stamp,
                                          std::string_view member) const {
  const auto found = files_.find(key_of(file, stamp, member));
  if (found == files_.end()) return std::nullopt;
  return found->second;
}

void HashCache::add(const Path& file, const FileStamp& stamp, std::string_view member,
                    const PackedFile& packed) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t settled = nanoseconds(now) - kSettled;
  if (stamp.mtime_ns > settled || stamp.ctime_ns > settled) return;
  if (files_.size() >= kMostFiles) files_.clear();
  files_[key_of(file, stamp, member)] = packed;
  is_changed_ = true;
}

Status HashCache::save(const StorePaths& paths) const {
  if (!is_changed_) return {};
  JsonObject document;
  for (const auto& [key, packed] : files_) {
    document[key] = JsonObject{{"sha256", packed.sha256}, {"layer", packed.layer_digest}};
  }
  return replace_file(paths, paths.hashes(), print_json(document));
}

}  // namespace bundle::packager
