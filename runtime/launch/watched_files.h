// Files whose contents may change while the server runs: keys and certificates. Secrets that a
// platform rotates are replaced under their names, without a signal.
#pragma once

#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace bundle::launch {

/// Not thread-safe.
class WatchedFiles {
 public:
  /// Empty names are left out.
  explicit WatchedFiles(const std::vector<std::string>& paths);

  bool empty() const { return files_.empty(); }
  /// True when one of them is another file, or has other times or another size, than when this was
  /// last asked.
  bool changed();

 private:
  struct Stamp {
    ino_t inode = 0;
    off_t size = -1;
    long long modified = 0;  // nanoseconds

    bool operator==(const Stamp&) const = default;
  };
  static Stamp stamp(const std::string& path);

  std::vector<std::pair<std::string, Stamp>> files_;
};

}  // namespace bundle::launch
