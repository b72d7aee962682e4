// One streamed answer, watched from the outside: was it whole, and was it open at a given moment.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "base/json.h"
#include "base/result.h"

namespace bundle::cli {

struct StreamRequest {
  std::string url;  // the server's, without /v1
  std::string message;
  std::string api_key;
  int tokens = 64;  // exactly so many are made
};

/// How a stream ended.
struct StreamReport {
  bool whole = false;  // a reason to finish and the end mark came
  std::string text;
  std::string error;  // why it is not whole
  std::chrono::steady_clock::time_point ended{};
};

/// Runs a request on a thread of its own. begun() and over() may be asked from another.
class OpenStream {
 public:
  explicit OpenStream(StreamRequest request);
  ~OpenStream();

  bool begun() const { return begun_; }  // text has come
  bool over() const { return over_; }
  /// Waits for the end.
  const StreamReport& wait();

 private:
  void run();
  Status take(const Json& event);

  const StreamRequest request_;
  StreamReport report_;
  bool finished_ = false;
  std::atomic<bool> begun_ = false;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace bundle::cli
