// Built into the library itself (cmake), which calls it: XGRAMMAR_LOG_CUSTOMIZE.
#include "runtime/engine/grammar_warnings.h"

#include <stdexcept>

namespace bundle::engine {
namespace {

thread_local GrammarWarnings* current = nullptr;

}  // namespace

GrammarWarnings::GrammarWarnings() { current = this; }
GrammarWarnings::~GrammarWarnings() { current = nullptr; }

void GrammarWarnings::add(const std::string& message) {
  if (current != nullptr) current->all_.push_back(message);
}

}  // namespace bundle::engine

// The library declares these for a program that takes its messages itself.
// NOLINTBEGIN(readability-identifier-naming): its names
namespace xgrammar {

[[noreturn]] void LogFatalImpl(const std::string& file, int lineno, const std::string& message);
void LogMessageImpl(const std::string& file, int lineno, int level, const std::string& message);

void LogFatalImpl(const std::string&, int, const std::string& message) {
  throw std::runtime_error(message);
}

void LogMessageImpl(const std::string&, int, int level, const std::string& message) {
  constexpr int kWarning = 2;
  if (level >= kWarning) bundle::engine::GrammarWarnings::add(message);
}

}  // namespace xgrammar
// NOLINTEND(readability-identifier-naming)
