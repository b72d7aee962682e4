#include "packager/fsck.h"

#include <map>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/store.h"
#include "packager/store_index.h"
#include "packager/stored_bundle.h"
#include "packager/verified_blobs.h"

namespace bundle::packager {
namespace {

/// All files of the blobs folder; what is no blob is told of.
std::vector<Descriptor> find_blobs(const StorePaths& paths, FsckReport& report) {
  std::vector<Descriptor> blobs;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(paths.blobs(), error)) {
    const std::string digest = "sha256:" + entry.path().filename().string();
    std::error_code failure;
    const bool is_file =
        entry.symlink_status(failure).type() == std::filesystem::file_type::regular;
    if (!is_valid_digest(digest) || !is_file) {
      report.damaged.push_back("The file " + entry.path().string() + " is no blob.");
      continue;
    }
    const std::uint64_t size = entry.file_size(failure);
    blobs.push_back({"", digest, size});
    report.num_bytes += size;
  }
  report.num_blobs = blobs.size();
  return blobs;
}

Status check_all(const StorePaths& paths, const std::vector<Descriptor>& blobs, FsckReport& report,
                 std::vector<std::string>& wrong, const Progress& progress) {
  std::uint64_t done = 0;
  VerifiedBlobs record = VerifiedBlobs::load(paths);
  for (const Descriptor& blob : blobs) {
    const Status checked = hash_blob(paths, blob, [&](std::uint64_t more) {
      done += more;
      return !progress || progress("checking blobs", done, report.num_bytes);
    });
    if (checked) {
      record.add(paths, blob.digest);
      continue;
    }
    if (checked.error().code == ErrorCode::kInterrupted) return checked.error();
    report.damaged.push_back("The blob " + blob.digest + ": " + checked.error().what + ".");
    wrong.push_back(blob.digest);
  }
  (void)record.save(paths);  // losing it only costs time
  return {};
}

Status check_bundles(const StorePaths& paths, FsckReport& report) {
  BUNDLE_TRY(const std::vector<IndexEntry> entries, read_index(paths));
  for (const IndexEntry& entry : entries) {
    if (!entry.is_bundle()) continue;
    const auto loaded = load_bundle(paths, entry);
    if (loaded) continue;
    report.damaged.push_back("The bundle " + entry.name + ':' + entry.tag + ": " +
                             loaded.error().message());
  }
  return {};
}

Status remove_wrong(const StorePaths& paths, const std::vector<std::string>& wrong,
                    FsckReport& report) {
  if (wrong.empty()) return {};
  BUNDLE_TRY(const auto lock, FileLock::try_exclusive(paths.blobs_lock()));
  if (!lock) {
    return failed("another process is writing: nothing was repaired", paths.root.string(),
                  "Run it again when that has ended.");
  }
  for (const std::string& digest : wrong) {
    std::error_code error;
    if (std::filesystem::remove(paths.blob(digest), error)) report.removed.push_back(digest);
  }
  return {};
}

JsonArray texts(const std::vector<std::string>& list) {
  JsonArray array;
  for (const std::string& text : list) array.emplace_back(text);
  return array;
}

}  // namespace

Result<FsckReport> fsck(const StorePaths& paths, bool repair, const Progress& progress) {
  FsckReport report;
  std::vector<std::string> wrong;
  const std::vector<Descriptor> blobs = find_blobs(paths, report);
  BUNDLE_CHECK(check_all(paths, blobs, report, wrong, progress));
  BUNDLE_CHECK(check_bundles(paths, report));
  if (repair) BUNDLE_CHECK(remove_wrong(paths, wrong, report));
  return report;
}

Json to_json(const FsckReport& report) {
  return JsonObject{{"blobs", report.num_blobs},
                    {"bytes", report.num_bytes},
                    {"damaged", texts(report.damaged)},
                    {"removed", texts(report.removed)}};
}

}  // namespace bundle::packager
