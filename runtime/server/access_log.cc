#include "runtime/server/access_log.h"

#include <cmath>
#include <ctime>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"

namespace bundle::server {
namespace {

/// "2026-11-23T21:29:07.123Z"
std::string iso_time(std::chrono::system_clock::time_point time) {
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const auto seconds = static_cast<std::time_t>(milliseconds / 1000);
  std::tm parts{};
  char text[40];
  gmtime_r(&seconds, &parts);
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return std::string(text, size) + fmt::format(".{:03}Z", milliseconds % 1000);
}

double rounded(double seconds) { return std::round(seconds * 1e6) / 1e3; }

void add_time(JsonObject& line, const char* name, double seconds) {
  if (seconds >= 0) line[name] = rounded(seconds);
}

void add_generation(JsonObject& line, const GenerationRecord& generation) {
  line["model"] = replace_invalid_utf8(generation.model);
  line["stream"] = generation.streamed;
  line["finish"] = generation.finish;
  line["prompt_tokens"] = generation.prompt_tokens;
  line["cached_tokens"] = generation.cached_tokens;
  line["completion_tokens"] = generation.completion_tokens;
  add_time(line, "queue_ms", generation.queued);
  add_time(line, "first_token_ms", generation.first_token);
  add_time(line, "last_token_ms", generation.last_token);
}

}  // namespace

std::string access_line(const RequestRecord& record) {
  JsonObject line{{"time", iso_time(record.arrived)},
                  {"request_id", record.id},
                  {"trace_id", record.trace.trace_id},
                  {"key", record.key},
                  {"peer", record.peer},
                  {"method", replace_invalid_utf8(record.method)},
                  {"path", replace_invalid_utf8(record.path)},
                  {"status", record.status},
                  {"bytes", record.bytes},
                  {"duration_ms", rounded(record.seconds)}};
  if (record.client_left) line["client_left"] = true;
  if (record.generated) add_generation(line, record.generation);
  return print_json(line) + "\n";
}

Result<AccessLog> AccessLog::open(const std::string& path) {
  AccessLog log;
  if (path.empty()) return log;
  const int fd = path == "-"
                     ? ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
                     : ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  log.fd_ = Fd(fd);
  if (fd < 0) return system_error("cannot open the access log", path);
  return log;
}

/// A full disk must not stop the server: what cannot be written is lost.
void AccessLog::write(const RequestRecord& record) const {
  const std::string line = access_line(record);
  [[maybe_unused]] const auto ignored = ::write(fd_.get(), line.data(), line.size());
}

}  // namespace bundle::server
