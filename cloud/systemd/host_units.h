// The units of one host: put there, started, watched, stopped, taken away. Everything goes through
// systemctl, so that what systemd says is what we say.
#pragma once

#include <string>

#include "base/progress.h"
#include "cloud/host/host.h"

namespace bundle::cloud {

struct UnitState {
  std::string active;  // systemd's ActiveState: "active", "activating", "failed", "inactive", …
  std::string sub;
  std::string text;  // what the server last said of itself
  std::string result;
  std::string invocation;  // another one each time it is started
  std::int64_t pid = 0;
  std::int64_t restarts = 0;
  std::int64_t uptime_seconds = 0;

  bool is_ready() const { return active == "active"; }
};

/// Units of one host in one folder. Holds references: both must outlive it.
class HostUnits {
 public:
  HostUnits(const Host& host, const std::string& folder) : host_(host), folder_(folder) {}

  /// The unit's file as it is there, or "".
  Result<std::string> text(const std::string& unit) const;
  /// Writes a unit's file and lets systemd read it.
  Status install(const std::string& unit, const std::string& text) const;
  Result<UnitState> state(const std::string& unit) const;
  /// Starts or restarts a unit and waits until its server says that it is ready. kFailed, with the
  /// last lines it printed, when it ends or `seconds` pass.
  Status start(const std::string& unit, int seconds, const Progress& progress) const;
  /// Lets a unit drain and waits for its end.
  Status stop(const std::string& unit, int seconds, const Progress& progress) const;
  /// Stops a unit and removes it and its file; no error when there is none.
  Status remove(const std::string& unit, int seconds, const Progress& progress) const;
  Result<std::string> last_lines(const std::string& unit, int lines) const;

 private:
  Error not_ready(const std::string& unit, bool ended, const UnitState& now, int seconds) const;

  const Host& host_;
  const std::string& folder_;
};

}  // namespace bundle::cloud
