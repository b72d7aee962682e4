#include "packager/verified_blobs.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/object.hpp>

#include "base/json.h"
#include "base/sha256.h"
#include "packager/reference.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kPiece = 1u << 20;

Path record_file(const StorePaths& paths) { return paths.own() / "verified.json"; }

Json to_json(const FileStamp& stamp) {
  return JsonObject{{"device", stamp.device},
                    {"inode", stamp.inode},
                    {"size", stamp.size},
                    {"mtime_ns", stamp.mtime_ns},
                    {"ctime_ns", stamp.ctime_ns}};
}

Result<FileStamp> stamp_from_json(const Json& value) {
  FileStamp stamp;
  const auto count = [&value](const char* key) { return get_int(value, key, ""); };
  BUNDLE_TRY(const std::int64_t device, count("device"));
  BUNDLE_TRY(const std::int64_t inode, count("inode"));
  BUNDLE_TRY(const std::int64_t size, count("size"));
  BUNDLE_TRY(stamp.mtime_ns, count("mtime_ns"));
  BUNDLE_TRY(stamp.ctime_ns, count("ctime_ns"));
  stamp.device = static_cast<std::uint64_t>(device);
  stamp.inode = static_cast<std::uint64_t>(inode);
  stamp.size = static_cast<std::uint64_t>(size);
  return stamp;
}

}  // namespace

/// Reads through one descriptor, and looks at the file again after: what was hashed is what is
/// there.
Status hash_blob(const StorePaths& paths, const Descriptor& blob,
                 const std::function<bool(std::uint64_t)>& more) {
  const Path path = paths.blob(blob.digest);
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return system_error("cannot open a blob", path.string());
  BUNDLE_TRY(const FileStamp before, stamp_descriptor(fd.get(), path));
  std::string buffer(kPiece, '\0');
  Sha256 hash;
  for (std::uint64_t done = 0; done < before.size;) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read a blob", path.string());
    if (n == 0) break;
    hash.update(as_bytes(std::string_view(buffer).substr(0, static_cast<std::size_t>(n))));
    done += static_cast<std::uint64_t>(n);
    if (!more(static_cast<std::uint64_t>(n))) {
      return Error{ErrorCode::kInterrupted, "verification was stopped", path.string()};
    }
  }
  BUNDLE_TRY(const FileStamp after, stamp_descriptor(fd.get(), path));
  if (before.size != blob.size || "sha256:" + hash.hex() != blob.digest || !(before == after)) {
    return bad_input("a blob does not have the digest that names it", path.string(),
                     "The bundle is damaged or was tampered with: remove it and fetch it again.");
  }
  return {};
}

VerifiedBlobs VerifiedBlobs::load(const StorePaths& paths) {
  VerifiedBlobs record;
  const auto document = read_json_file(record_file(paths).string());
  if (!document || !document->is_object()) return record;
  for (const auto& [digest, value] : document->get_object()) {
    const auto stamp = stamp_from_json(value);
    if (stamp && is_valid_digest(digest)) record.files_[digest] = *stamp;
  }
  return record;
}

bool VerifiedBlobs::knows(const StorePaths& paths, const std::string& digest) const {
  const auto found = files_.find(digest);
  if (found == files_.end()) return false;
  const auto stamp = stamp_file(paths.blob(digest));
  return stamp && *stamp == found->second;
}

void VerifiedBlobs::add(const StorePaths& paths, const std::string& digest) {
  const auto stamp = stamp_file(paths.blob(digest));
  if (!stamp) return;
  files_[digest] = *stamp;
  is_changed_ = true;
}

Status VerifiedBlobs::save(const StorePaths& paths) {
  if (!is_changed_) return {};
  JsonObject document;
  std::error_code error;
  for (const auto& [digest, stamp] : files_) {
    if (std::filesystem::exists(paths.blob(digest), error)) document[digest] = to_json(stamp);
  }
  is_changed_ = false;
  return replace_file(paths, record_file(paths), print_json(document));
}

Status check_blobs(const StorePaths& paths, const std::vector<Descriptor>& blobs, bool full,
                   const Progress& progress) {
  VerifiedBlobs record = VerifiedBlobs::load(paths);
  std::vector<Descriptor> unknown;
  std::uint64_t total = 0;
  for (const Descriptor& blob : blobs) {
    if (!full && record.knows(paths, blob.digest)) continue;
    unknown.push_back(blob);
    total += blob.size;
  }
  std::uint64_t done = 0;
  for (const Descriptor& blob : unknown) {
    BUNDLE_CHECK(hash_blob(paths, blob, [&](std::uint64_t more) {
      done += more;
      return !progress || progress("verifying", std::min(done, total), total);
    }));
    record.add(paths, blob.digest);
  }
  // A store that belongs to another user can be verified, and not written.
  (void)record.save(paths);
  return {};
}

}  // namespace bundle::packager
