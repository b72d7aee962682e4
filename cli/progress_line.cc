#include "cli/progress_line.h"

#include <cstdio>
#include <unistd.h>

#include "base/text.h"

namespace bundle::cli {
namespace {

constexpr std::chrono::milliseconds kFirst{1000};
constexpr std::chrono::milliseconds kRedraw{100};
constexpr std::chrono::milliseconds kRepeat{5000};

}  // namespace

ProgressLine::ProgressLine() : terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (drawn_ && terminal_) std::fputs("\r\033[K", stderr);
}

void ProgressLine::show(std::string_view stage, std::uint64_t done, std::uint64_t total) {
  const auto now = Clock::now();
  if (stage != stage_) {
    stage_ = stage;
    stage_start_ = now;
    // A redrawn line may follow at once; a printed one waits until the work proves long.
    next_ = now + (drawn_ && terminal_ ? kRedraw : kFirst);
  }
  if (now < next_) return;
  next_ = now + (terminal_ ? kRedraw : kRepeat);
  drawn_ = true;
  const auto elapsed = std::chrono::duration_cast<std::chrono::seconds>(now - stage_start_);
  const std::string text = progress_text(stage, done, total, elapsed);
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
  std::fflush(stderr);
}

std::string progress_text(std::string_view stage, std::uint64_t done, std::uint64_t total,
                          std::chrono::seconds elapsed) {
  std::string text(stage);
  if (total > 0) {
    const auto percent =
        static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total));
    text += "  " + std::to_string(percent) + "%";
    if (total > 10'000) text += " of " + human_bytes(total);
  }
  return text + ", " + std::to_string(elapsed.count()) + " s";
}

}  // namespace bundle::cli
