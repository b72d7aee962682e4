// The logs of several replicas as one: whole lines, each behind the name of its source.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"

namespace bundle::cloud {

/// Takes pieces of a log, and now and then an empty one; returning false ends the reading.
using LogSink = std::function<bool(std::string_view piece)>;

/// Reads its sources side by side. The sink is called by one thread at a time.
class MergedLog {
 public:
  explicit MergedLog(const LogSink& sink) : sink_(sink) {}
  /// Waits until its sources have ended; they do soon after the sink has said so.
  ~MergedLog();
  MergedLog(const MergedLog&) = delete;
  MergedLog& operator=(const MergedLog&) = delete;

  /// Starts to read a source on a thread of its own: `read` hands its pieces to the sink that it is
  /// given, empty ones as well, and returns when that says false. What it fails with becomes a
  /// line.
  void add(const std::string& name, std::function<Status(const LogSink&)> read);
  bool has(const std::string& name) const { return readers_.count(name) == 1; }

  /// False when the sink wants no more.
  bool wanted();
  /// Waits for the end of every source there is.
  void wait();

 private:
  void run(const std::string& name, const std::function<Status(const LogSink&)>& read);
  bool give(const std::string& text);

  const LogSink& sink_;
  std::mutex mutex_;
  bool stopped_ = false;
  std::map<std::string, std::thread> readers_;
};

/// Puts `name` and a bar before each line of `piece`. What is behind its last line's end stays in
/// `rest`, for the next piece.
std::string named_lines(const std::string& name, std::string_view piece, std::string& rest);

}  // namespace bundle::cloud
