// One line of JSON for each request, to a file or standard error.
#pragma once

#include <string>

#include "base/file.h"
#include "base/result.h"
#include "runtime/server/request_record.h"

namespace bundle::server {

/// One line, newline included.
std::string access_line(const RequestRecord& record);

/// Thread-safe. Each line is one write, so that several processes may share a file.
class AccessLog {
 public:
  /// "-": standard error; "": writes nothing. Appends to a file and makes it with mode 0600.
  static Result<AccessLog> open(const std::string& path);

  bool enabled() const { return fd_.get() >= 0; }
  void write(const RequestRecord& record) const;

 private:
  Fd fd_;
};

}  // namespace bundle::server
