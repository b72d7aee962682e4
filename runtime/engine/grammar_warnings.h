// What the grammar library says while it compiles: it warns of what it leaves out.
#pragma once

#include <string>
#include <vector>

namespace bundle::engine {

/// Collects the library's warnings on this thread while it lives. One at a time on a thread.
class GrammarWarnings {
 public:
  GrammarWarnings();
  ~GrammarWarnings();
  GrammarWarnings(const GrammarWarnings&) = delete;
  GrammarWarnings& operator=(const GrammarWarnings&) = delete;

  static void add(const std::string& message);
  const std::vector<std::string>& all() const { return all_; }

 private:
  std::vector<std::string> all_;
};

}  // namespace bundle::engine
