// How many prompt tokens a step may hold so that running streams keep a steady pace.
//
// A step's time is that of its decodes plus a time a prompt token; both are learnt from the steps
// that ran. Results do not depend on how a prompt is cut, only the waiting does.
#pragma once

#include <cstdint>

namespace bundle::engine {

/// Not thread-safe.
class StepPacer {
 public:
  /// Tells how long a step of so many decodes and prompt tokens took.
  void observe(std::int64_t decodes, std::int64_t prompt_tokens, double seconds);

  /// Prompt tokens that fit a step beside running streams (their gap stays near 0.1 s), and alone
  /// (an abort waits for at most about a second), at most `budget`.
  std::int64_t interleaved(std::int64_t budget) const;
  std::int64_t alone(std::int64_t budget) const;

 private:
  std::int64_t fit(double seconds, std::int64_t least, std::int64_t budget) const;

  double decode_seconds_ = 0.0;  // of a step without prompts
  double token_seconds_ = 0.0;   // of one prompt token; 0: not known yet
};

}  // namespace bundle::engine
