// What makes the store safe: where its files lie, locks between processes, and files that appear
// whole or not at all.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace bundle::packager {

/// Paths in a store. Ours lie in one hidden folder: what is left is a plain OCI image layout.
struct StorePaths {
  Path root;

  Path index() const { return root / "index.json"; }
  Path layout() const { return root / "oci-layout"; }
  Path blobs() const { return root / "blobs" / "sha256"; }
  Path own() const { return root / ".bundle"; }
  Path temporary() const { return own() / "tmp"; }
  /// Downloads that go on when they are started again; gc clears them.
  Path partials() const { return own() / "partial"; }
  Path partial(std::string_view digest) const { return partials() / digest.substr(7); }
  /// Where unfinished uploads go on.
  Path uploads() const { return own() / "uploads"; }
  /// Held alone by the one process that downloads.
  Path download_lock() const { return own() / "download.lock"; }
  Path hashes() const { return own() / "hashes.json"; }
  /// Held shared while blobs are written that nothing names yet, alone while blobs are deleted.
  Path blobs_lock() const { return own() / "blobs.lock"; }
  /// Held alone while index.json is replaced.
  Path index_lock() const { return own() / "index.lock"; }
  /// `digest` must be valid.
  Path blob(std::string_view digest) const { return blobs() / digest.substr(7); }
};

/// An advisory lock on a file (flock), held until destruction or the death of the process.
class FileLock {
 public:
  /// Waits until the lock is free.
  static Result<FileLock> shared(const Path& path);
  static Result<FileLock> exclusive(const Path& path);
  /// None when another process holds it.
  static Result<std::optional<FileLock>> try_exclusive(const Path& path);

  /// Lets others share it from now on.
  Status make_shared();
  /// False when the file that was locked is no longer the one at `path`: somebody deleted it.
  bool is_at(const Path& path) const;

 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}

  Fd fd_;
};

/// A file that is being written in the store's temporary folder; deleted unless it is committed.
class TemporaryFile {
 public:
  static Result<TemporaryFile> create(const StorePaths& paths);
  TemporaryFile(TemporaryFile&& other) noexcept = default;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile();

  int fd() const { return fd_.get(); }
  Status write(std::string_view text);
  /// Syncs the file, renames it to `target`, and syncs that folder.
  Status commit(const Path& target);

 private:
  TemporaryFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Fd fd_;
  std::string path_;
};

/// Syncs a finished file, renames it to `target`, and syncs that folder.
Status move_into_place(const Path& written, const Path& target);

/// Writes all of `text` to a descriptor; `where` names it in errors.
Status write_all(int fd, std::string_view text, const std::string& where);

/// A small file, replaced in one step.
Status replace_file(const StorePaths& paths, const Path& target, std::string_view text);

/// Deletes what killed writers left; does nothing while another writer lives.
void clear_temporaries(const StorePaths& paths);

}  // namespace bundle::packager
