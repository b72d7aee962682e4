#include "packager/write_session.h"

#include <sys/stat.h>

#include "base/sha256.h"
#include "packager/store_index.h"

namespace bundle::packager {
namespace {

constexpr std::string_view kLayoutText = R"({"imageLayoutVersion":"1.0.0"})";
constexpr std::string_view kEmptyIndex =
    "{\n  \"schemaVersion\": 2,\n"
    "  \"mediaType\": \"application/vnd.oci.image.index.v1+json\",\n  \"manifests\": []\n}\n";

/// Both files of an empty layout, so that other tools can read the store from the first moment.
Status make_layout(const StorePaths& paths) {
  BUNDLE_TRY(const FileLock lock, FileLock::exclusive(paths.index_lock()));
  std::error_code error;
  if (std::filesystem::exists(paths.layout(), error)) return check_has_index(paths);
  // In this order: where there is a layout, there was an index.
  if (!std::filesystem::exists(paths.index(), error)) {
    BUNDLE_CHECK(replace_file(paths, paths.index(), kEmptyIndex));
  }
  return replace_file(paths, paths.layout(), kLayoutText);
}

}  // namespace

Result<WriteSession> WriteSession::begin(const StorePaths& paths) {
  BUNDLE_CHECK(make_directories(paths.blobs()));
  BUNDLE_CHECK(make_directories(paths.temporary()));
  clear_temporaries(paths);
  BUNDLE_TRY(FileLock lock, FileLock::shared(paths.blobs_lock()));
  BUNDLE_CHECK(make_layout(paths));
  return WriteSession(paths, std::move(lock));
}

bool WriteSession::holds(std::string_view digest, std::uint64_t size) const {
  struct stat info {};
  return ::lstat(paths_.blob(digest).c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         static_cast<std::uint64_t>(info.st_size) == size;
}

Result<Descriptor> WriteSession::put(std::string_view media_type, std::string_view text) {
  Descriptor blob{std::string(media_type), "sha256:" + sha256_hex(text), text.size()};
  // A small blob is cheap to write: a damaged one is healed so.
  const auto there = read_file(paths_.blob(blob.digest), text.size());
  if (there && *there == text) return blob;
  BUNDLE_TRY(TemporaryFile file, temporary());
  BUNDLE_CHECK(file.write(text));
  BUNDLE_CHECK(file.commit(paths_.blob(blob.digest)));
  verified_.add(paths_, blob.digest);
  return blob;
}

Status WriteSession::adopt(TemporaryFile file, std::string_view digest) {
  BUNDLE_CHECK(file.commit(paths_.blob(digest)));
  verified_.add(paths_, std::string(digest));
  return {};
}

Status WriteSession::adopt(const Path& written, std::string_view digest) {
  BUNDLE_CHECK(move_into_place(written, paths_.blob(digest)));
  verified_.add(paths_, std::string(digest));
  return {};
}

Status WriteSession::tag(const std::string& name, const std::string& tag, const Descriptor& bundle,
                         const std::vector<Variant>& variants) {
  (void)verified_.save(paths_);  // losing it only costs time
  return tag_bundle(paths_, name, tag, bundle, variants);
}

}  // namespace bundle::packager
