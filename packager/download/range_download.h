// Downloads of files whose digest may be known: many ranges at a time, resumed after a kill, hashed
// while they arrive.
//
// A file grows in pieces of 32 MiB under a temporary name; a second small file says which pieces
// are there. Whoever starts the download again goes on with the missing ones.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "base/result.h"

namespace bundle::packager {

inline constexpr std::uint64_t kDownloadPiece = 32u << 20;

/// One file to fetch.
struct DownloadJob {
  std::string name;  // for people
  std::uint64_t size = 0;
  std::string sha256;  // 64 hex digits, or "" when nobody knows it
  Path partial;        // where it grows; partial + ".pieces" is the map
};

/// Hands bytes on; false asks to stop at once.
using TakeBytes = std::function<bool(std::string_view piece)>;

/// Fetches [offset, offset + length) of job number `job`; called by one thread. It may give fewer
/// or more bytes than that: both are found out.
using FetchRange = std::function<Status(std::size_t job, std::uint64_t offset, std::uint64_t length,
                                        const TakeBytes& take)>;

/// Makes the FetchRange of one worker thread.
using MakeFetcher = std::function<FetchRange()>;

/// Fetches all jobs with `workers` threads, and gives each file's SHA-256. A file whose digest is
/// not the expected one is deleted: kBadInput. Other errors, and kInterrupted when progress says
/// stop, leave what was fetched for the next time.
Result<std::vector<std::string>> download(const std::vector<DownloadJob>& jobs, int workers,
                                          const MakeFetcher& make_fetcher,
                                          const Progress& progress);

/// Deletes a job's files.
void discard_partial(const Path& partial);

}  // namespace bundle::packager
