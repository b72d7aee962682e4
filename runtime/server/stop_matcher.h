// Finds stop strings in text that comes in pieces, and never lets out a part of one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bundle::server {

/// Text that could be the beginning of a stop string is held back until it is known not to be one.
/// The stop string that is complete first ends the text; of two that are, the one that begins
/// first. Not thread-safe.
class StopMatcher {
 public:
  /// `include`: the stop string itself is let out, too.
  StopMatcher(std::vector<std::string> stops, bool include);

  /// Text that is certain now. Empty after stopped().
  std::string push(std::string_view text);
  /// What was held back; the output is over.
  std::string finish();
  /// Lets everything held back out and forgets it: what came so far may not be part of a stop.
  std::string skip(std::string_view text);

  bool stopped() const { return stopped_; }
  /// The stop string that was found.
  const std::string& matched() const { return matched_; }

 private:
  std::size_t held_length() const;

  std::vector<std::string> stops_;
  bool include_;
  std::string held_;
  bool stopped_ = false;
  std::string matched_;
};

}  // namespace bundle::server
