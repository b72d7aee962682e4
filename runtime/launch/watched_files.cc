#include "runtime/launch/watched_files.h"

#include <sys/stat.h>

namespace bundle::launch {

WatchedFiles::WatchedFiles(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (!path.empty()) files_.emplace_back(path, stamp(path));
  }
}

bool WatchedFiles::changed() {
  bool any = false;
  for (auto& [path, before] : files_) {
    const Stamp now = stamp(path);
    any |= now != std::exchange(before, now);
  }
  return any;
}

WatchedFiles::Stamp WatchedFiles::stamp(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {info.st_ino, info.st_size, info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec};
}

}  // namespace bundle::launch
