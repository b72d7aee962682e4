#include "cloud/systemd/host_units.h"

#include <charconv>
#include <chrono>
#include <thread>

namespace bundle::cloud {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPoll{200};

std::int64_t number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// "KEY=VALUE" lines of `systemctl show`, and the host's uptime in a line "now=SECONDS".
UnitState parse_state(std::string_view lines) {
  UnitState state;
  std::int64_t since = 0;
  std::int64_t now = 0;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    const std::size_t equal = line.find('=');
    if (equal == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, equal);
    const std::string_view value = line.substr(equal + 1);
    if (key == "ActiveState") state.active = value;
    if (key == "SubState") state.sub = value;
    if (key == "StatusText") state.text = value;
    if (key == "Result") state.result = value;
    if (key == "InvocationID") state.invocation = value;
    if (key == "MainPID") state.pid = number(value);
    if (key == "NRestarts") state.restarts = number(value);
    if (key == "ActiveEnterTimestampMonotonic") since = number(value) / 1'000'000;
    if (key == "now") now = number(value);
  }
  if (state.is_ready() && now > since) state.uptime_seconds = now - since;
  return state;
}

}  // namespace

Result<std::string> HostUnits::text(const std::string& unit) const {
  BUNDLE_TRY(auto text, read_text(host_, folder_ + "/" + unit));
  return text.value_or("");
}

Status HostUnits::install(const std::string& unit, const std::string& text) const {
  BUNDLE_CHECK(write_text(host_, folder_ + "/" + unit, text));
  BUNDLE_CHECK(run_checked(host_, {"systemctl", "daemon-reload"}));
  return {};
}

Result<UnitState> HostUnits::state(const std::string& unit) const {
  BUNDLE_TRY(const std::string lines,
             run_script(host_,
                        "systemctl show -p ActiveState,SubState,StatusText,Result,MainPID,"
                        "NRestarts,InvocationID,ActiveEnterTimestampMonotonic -- \"$1\"; "
                        "read up rest </proc/uptime; echo \"now=$up\"",
                        {unit}));
  return parse_state(lines);
}

Status HostUnits::start(const std::string& unit, int seconds, const Progress& progress) const {
  BUNDLE_TRY(const UnitState before, state(unit));
  BUNDLE_CHECK(run_script(host_,
                          "systemctl reset-failed -- \"$1\" 2>/dev/null; "
                          "grep -q '^\\[Install\\]' \"$2\" && systemctl enable --quiet -- \"$1\"; "
                          "systemctl restart --no-block -- \"$1\"",
                          {unit, folder_ + "/" + unit}));
  const auto deadline = Clock::now() + std::chrono::seconds(seconds + 30);
  for (;;) {
    BUNDLE_TRY(const UnitState now, state(unit));
    // Until the new run has begun, what is shown is the old one's.
    const bool begun = !now.invocation.empty() && now.invocation != before.invocation;
    if (begun && now.is_ready()) return {};
    const bool ended =
        begun && (now.active == "failed" || now.sub == "auto-restart" || now.restarts > 0);
    if (ended || Clock::now() > deadline) return not_ready(unit, ended, now, seconds);
    const std::string stage = "starting " + unit + " on " + host_.name() +
                              (now.text.empty() ? "" : " (" + now.text + ")");
    if (progress && !progress(stage, 0, 0)) {
      return Error{ErrorCode::kInterrupted, "stopped while the server was starting", host_.name()};
    }
    std::this_thread::sleep_for(kPoll);
  }
}

Error HostUnits::not_ready(const std::string& unit, bool ended, const UnitState& now,
                           int seconds) const {
  (void)run_checked(host_, {"systemctl", "stop", "--no-block", "--", unit});
  const auto lines = last_lines(unit, 12);
  return failed(ended ? "the server ended before it was ready (" + now.result + ")"
                      : "the server was not ready in " + std::to_string(seconds) + " s",
                host_.name() + ", unit " + unit, "It printed:\n" + (lines ? *lines : ""));
}

Status HostUnits::stop(const std::string& unit, int seconds, const Progress& progress) const {
  BUNDLE_TRY(const UnitState before, state(unit));
  if (before.active == "inactive" || before.active.empty()) return {};
  BUNDLE_CHECK(run_checked(host_, {"systemctl", "stop", "--no-block", "--", unit}));
  const auto deadline = Clock::now() + std::chrono::seconds(seconds + 60);
  for (;;) {
    BUNDLE_TRY(const UnitState now, state(unit));
    if (now.active == "inactive" || now.active == "failed") return {};
    if (progress && !progress("draining " + unit + " on " + host_.name(), 0, 0)) {
      return Error{ErrorCode::kInterrupted, "stopped while the server was draining", host_.name()};
    }
    if (Clock::now() > deadline) return failed("the unit does not stop", unit);
    std::this_thread::sleep_for(kPoll);
  }
}

Status HostUnits::remove(const std::string& unit, int seconds, const Progress& progress) const {
  BUNDLE_CHECK(stop(unit, seconds, progress));
  BUNDLE_CHECK(
      run_script(host_,
                 "[ -e \"$2\" ] || exit 0; systemctl disable --quiet -- \"$1\" 2>/dev/null; "
                 "rm -f -- \"$2\"; systemctl daemon-reload; "
                 "systemctl reset-failed -- \"$1\" 2>/dev/null; true",
                 {unit, folder_ + "/" + unit}));
  return {};
}

Result<std::string> HostUnits::last_lines(const std::string& unit, int lines) const {
  return run_checked(
      host_, {"journalctl", "--no-pager", "-o", "cat", "-n", std::to_string(lines), "-u", unit});
}

}  // namespace bundle::cloud
