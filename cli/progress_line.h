// Progress for people, on standard error: one line that is redrawn on a terminal, a line every few
// seconds elsewhere, nothing for work that ends within a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace bundle::cli {

/// One piece of long work, stage after stage. Not thread-safe. Clears its line when it goes.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(std::string_view stage, std::uint64_t done, std::uint64_t total);

 private:
  using Clock = std::chrono::steady_clock;

  bool terminal_;
  bool drawn_ = false;
  std::string stage_;
  Clock::time_point stage_start_;
  Clock::time_point next_;
};

/// "hashing a.gguf  45% of 98.4 MB, 12 s": what one line says.
std::string progress_text(std::string_view stage, std::uint64_t done, std::uint64_t total,
                          std::chrono::seconds elapsed);

}  // namespace bundle::cli
