#include "packager/download/range_download.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <optional>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "base/sha256.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kHashBuffer = 1u << 20;
constexpr std::chrono::milliseconds kReport{100};

Path map_file(const Path& partial) { return partial.string() + ".pieces"; }

Status write_at(int fd, std::string_view text, std::uint64_t offset, const Path& path) {
  while (!text.empty()) {
    const ssize_t n = ::pwrite(fd, text.data(), text.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot write the file", path.string());
    text.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

/// One file that is growing. The map holds '1' for each piece that is whole.
class Partial {
 public:
  static Result<std::unique_ptr<Partial>> open(const DownloadJob& job) {
    auto partial = std::make_unique<Partial>(job);
    BUNDLE_CHECK(partial->open_files());
    return partial;
  }

  explicit Partial(const DownloadJob& job)
      : job_(job), pieces_((job.size + kDownloadPiece - 1) / kDownloadPiece, '0') {}

  const DownloadJob& job() const { return job_; }
  std::size_t num_pieces() const { return pieces_.size(); }
  bool has(std::size_t piece) const { return pieces_[piece] == '1'; }
  bool was_resumed() const { return was_resumed_; }
  int fd() const { return file_.get(); }

  std::uint64_t offset(std::size_t piece) const { return piece * kDownloadPiece; }
  std::uint64_t length(std::size_t piece) const {
    return std::min(kDownloadPiece, job_.size - offset(piece));
  }

  Status write(std::string_view text, std::uint64_t at) const {
    return write_at(file_.get(), text, at, job_.partial);
  }

  /// Under the caller's lock.
  Status mark(std::size_t piece) {
    BUNDLE_CHECK(write_at(map_.get(), "1", piece, map_file(job_.partial)));
    pieces_[piece] = '1';
    return {};
  }

 private:
  Status open_files() {
    const Path map = map_file(job_.partial);
    file_ = Fd(::open(job_.partial.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    map_ = Fd(::open(map.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file_ || !map_) return system_error("cannot open a download", job_.partial.string());
    ::fchmod(file_.get(), 0644);  // the umask must not decide who can read the blob
    struct stat info {};
    if (::fstat(file_.get(), &info) != 0) return system_error("cannot stat", job_.partial.string());
    std::string known(pieces_.size(), '\0');
    const ssize_t n = ::pread(map_.get(), known.data(), known.size(), 0);
    const bool same_size = static_cast<std::uint64_t>(info.st_size) == job_.size;
    for (ssize_t i = 0; same_size && i < n; ++i) {
      if (known[static_cast<std::size_t>(i)] != '1') continue;
      pieces_[static_cast<std::size_t>(i)] = '1';
      was_resumed_ = true;
    }
    if (!same_size && ::ftruncate(map_.get(), 0) != 0) return system_error("cannot truncate");
    if (::ftruncate(file_.get(), static_cast<off_t>(job_.size)) != 0) {
      return system_error("cannot make room for a download", job_.partial.string());
    }
    return reserve();
  }

  /// Room for the whole file now rather than an error after hours.
  Status reserve() const {
    if (job_.size == 0 || ::fallocate(file_.get(), 0, 0, static_cast<off_t>(job_.size)) == 0 ||
        (errno != ENOSPC && errno != EDQUOT)) {
      return {};
    }
    Error error = system_error("there is no room for " + job_.name, job_.partial.string());
    error.remedy = "Free some space, or set BUNDLE_HOME to a larger disk.";
    return error;
  }

  DownloadJob job_;
  Fd file_;
  Fd map_;
  std::string pieces_;
  bool was_resumed_ = false;
};

/// All jobs of one call: workers take pieces, one thread hashes what is whole from the front, the
/// caller's thread reports.
class Download {
 public:
  Download(const MakeFetcher& make_fetcher, const Progress& progress)
      : make_fetcher_(make_fetcher), progress_(progress) {}

  Status add(const DownloadJob& job) {
    BUNDLE_TRY(auto partial, Partial::open(job));
    for (std::size_t piece = 0; piece < partial->num_pieces(); ++piece) {
      total_ += partial->length(piece);
      if (partial->has(piece)) {
        done_ += partial->length(piece);
      } else {
        queue_.push_back({files_.size(), piece});
      }
    }
    files_.push_back(std::move(partial));
    return {};
  }

  Result<std::vector<std::string>> run(int workers) {
    digests_.assign(files_.size(), "");
    std::vector<std::thread> threads;
    const int useful = static_cast<int>(
        std::min<std::size_t>(queue_.size(), static_cast<std::size_t>(std::max(workers, 1))));
    for (int i = 0; i < useful; ++i) threads.emplace_back([this] { work(); });
    std::thread hasher([this] { hash_all(); });
    report();
    for (std::thread& thread : threads) thread.join();
    hasher.join();
    if (error_) return *error_;
    return std::move(digests_);
  }

  bool was_resumed(std::size_t job) const { return files_[job]->was_resumed(); }

 private:
  struct Piece {
    std::size_t job;
    std::size_t piece;
  };

  std::optional<Piece> take_piece() {
    const std::lock_guard lock(mutex_);
    if (error_ || next_ == queue_.size()) return std::nullopt;
    return queue_[next_++];
  }

  void fail(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    stopping_ = true;
    changed_.notify_all();
  }

  void work() {
    const FetchRange fetch = make_fetcher_();
    while (const auto piece = take_piece()) {
      Status fetched = fetch_piece(fetch, *piece);
      if (!fetched) return fail(std::move(fetched).error());
    }
  }

  Status fetch_piece(const FetchRange& fetch, const Piece& piece) {
    Partial& file = *files_[piece.job];
    const std::uint64_t offset = file.offset(piece.piece);
    const std::uint64_t length = file.length(piece.piece);
    std::uint64_t got = 0;
    Status written;
    bool too_long = false;
    const Status fetched = fetch(piece.job, offset, length, [&](std::string_view bytes) {
      too_long = bytes.size() > length - got;
      if (too_long || stopping_) return false;
      written = file.write(bytes, offset + got);
      got += bytes.size();
      done_ += bytes.size();
      return written.has_value();
    });
    if (!written) return written;
    if (too_long) return bad_input("more bytes came than were asked for", file.job().name);
    if (!fetched) return fetched;
    if (got != length) return bad_input("the file is cut short", file.job().name);
    const std::lock_guard lock(mutex_);
    BUNDLE_CHECK(file.mark(piece.piece));
    changed_.notify_all();
    return {};
  }

  /// False when the work has failed.
  bool wait_for(std::size_t job, std::size_t piece) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopping_.load() || files_[job]->has(piece); });
    return files_[job]->has(piece);
  }

  void hash_all() {
    for (std::size_t job = 0; job < files_.size(); ++job) {
      Sha256 hash;
      for (std::size_t piece = 0; piece < files_[job]->num_pieces(); ++piece) {
        if (!wait_for(job, piece) || stopping_) return finish();
        Status hashed = hash_piece(*files_[job], piece, hash);
        if (!hashed) {
          fail(std::move(hashed).error());
          return finish();
        }
      }
      digests_[job] = hash.hex();
    }
    finish();
  }

  static Status hash_piece(const Partial& file, std::size_t piece, Sha256& hash) {
    std::string buffer(kHashBuffer, '\0');
    std::uint64_t at = file.offset(piece);
    for (std::uint64_t left = file.length(piece); left > 0;) {
      const ssize_t n =
          ::pread(file.fd(), buffer.data(), std::min<std::uint64_t>(buffer.size(), left),
                  static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return system_error("cannot read a download", file.job().partial.string());
      hash.update(as_bytes(std::string_view(buffer).substr(0, static_cast<std::size_t>(n))));
      left -= static_cast<std::uint64_t>(n);
      at += static_cast<std::uint64_t>(n);
    }
    return {};
  }

  void finish() {
    const std::lock_guard lock(mutex_);
    hashed_ = true;
    changed_.notify_all();
  }

  /// On the caller's thread, until everything is hashed or has failed.
  void report() {
    for (;;) {
      if (progress_ && !progress_("downloading", std::min(done_.load(), total_), total_)) {
        fail({ErrorCode::kInterrupted, "the download was stopped", "",
              "Run it again to go on where it stopped."});
      }
      std::unique_lock lock(mutex_);
      if (hashed_) return;
      changed_.wait_for(lock, kReport, [this] { return hashed_; });
    }
  }

  const MakeFetcher& make_fetcher_;
  const Progress& progress_;
  std::vector<std::unique_ptr<Partial>> files_;
  std::vector<Piece> queue_;
  std::size_t next_ = 0;
  std::vector<std::string> digests_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Error> error_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> done_{0};
  std::uint64_t total_ = 0;
  bool hashed_ = false;
};

}  // namespace

void discard_partial(const Path& partial) {
  std::error_code ignored;
  std::filesystem::remove(map_file(partial), ignored);
  std::filesystem::remove(partial, ignored);
}

Result<std::vector<std::string>> download(const std::vector<DownloadJob>& jobs, int workers,
                                          const MakeFetcher& make_fetcher,
                                          const Progress& progress) {
  Download work(make_fetcher, progress);
  for (const DownloadJob& job : jobs) BUNDLE_CHECK(work.add(job));
  BUNDLE_TRY(std::vector<std::string> digests, work.run(workers));
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].sha256.empty() || digests[i] == jobs[i].sha256) continue;
    discard_partial(jobs[i].partial);
    return bad_input(
        "what was downloaded does not have the digest that was asked for", jobs[i].name,
        work.was_resumed(i) ? "Run it again: an earlier download may have been damaged."
                            : "The server gives another file: do not trust it.");
  }
  return digests;
}

}  // namespace bundle::packager
