#include "cloud/merged_log.h"

namespace bundle::cloud {
namespace {

constexpr std::size_t kLongestLine = 64u << 10;  // is cut there

}  // namespace

std::string named_lines(const std::string& name, std::string_view piece, std::string& rest) {
  std::string lines;
  while (!piece.empty()) {
    const std::size_t end = piece.find('\n');
    rest += piece.substr(0, end);
    piece.remove_prefix(end == std::string_view::npos ? piece.size() : end + 1);
    if (end == std::string_view::npos && rest.size() < kLongestLine) break;
    lines += name + " | " + rest + "\n";
    rest.clear();
  }
  return lines;
}

MergedLog::~MergedLog() { wait(); }

void MergedLog::add(const std::string& name, std::function<Status(const LogSink&)> read) {
  readers_.emplace(name, std::thread([this, name, read = std::move(read)] { run(name, read); }));
}

bool MergedLog::wanted() { return give(""); }

void MergedLog::wait() {
  for (auto& [name, reader] : readers_) {
    if (reader.joinable()) reader.join();
  }
}

void MergedLog::run(const std::string& name, const std::function<Status(const LogSink&)>& read) {
  std::string rest;
  const Status done =
      read([&](std::string_view piece) { return give(named_lines(name, piece, rest)); });
  if (!rest.empty()) give(named_lines(name, "\n", rest));
  if (!done && done.error().code != ErrorCode::kInterrupted) {
    give(name + " | (its log ended: " + done.error().what + ")\n");
  }
}

bool MergedLog::give(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (!stopped_) stopped_ = !sink_(text);
  return !stopped_;
}

}  // namespace bundle::cloud
