// What an output must look like, and which tokens may come next: JSON schemas, regular expressions,
// choices and grammars, all written as one structural tag (docs/reasoning-and-tools.md).
//
// A token that was drawn can be tried by itself; where that does not do, a mask says of every token
// whether it may come. Compiling and masks run on threads of their own: after a token that needed a
// mask, the next is made while the model computes a step.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::engine {

/// A constraint of one request. Empty: none.
struct OutputConstraint {
  std::string tag;    // a structural tag as JSON: {"type": "structural_tag", "format": …}
  std::string after;  // it holds from where this text has come; "": from the beginning

  bool empty() const { return tag.empty(); }
};

/// Longest tag, in bytes.
inline constexpr std::size_t kMostConstraintBytes = 256u << 10;
/// Entries of one enum, choice or union, and bars in one expression or grammar: the time to compile
/// them grows with their square, and this many take a second.
inline constexpr std::size_t kMostAlternatives = 2048;

/// What becomes of a part of a schema or expression that no grammar can hold an output to.
enum class Unheld { kLeftOut, kRefused };

/// Elements in one repeated group of an expression or grammar, written out: some seconds to
/// compile.
inline constexpr std::int64_t kMostRepeated = 640;

/// kBadInput says why it can not be compiled. Quick; thread-safe.
Status check_constraint(const std::string& tag, Unheld unheld = Unheld::kLeftOut);

/// The tokens that constraints choose from.
struct ConstraintVocabulary {
  std::vector<std::string> bytes;  // of each id; "" for one that no constraint ever allows
  std::vector<std::int32_t> end_ids;
};

/// One output under a constraint. Used by one thread at a time.
class ConstrainedOutput {
 public:
  enum class State {
    kCompiling,
    kReady,
    kFailed,  // error() says why
  };
  virtual ~ConstrainedOutput() = default;
  virtual State state() = 0;
  virtual Error error() const = 0;
  /// Waits for the state to leave kCompiling, no longer than that.
  virtual void wait(std::chrono::milliseconds limit) = 0;

  /// Takes token `id` if it may come; else nothing changes. Only when ready.
  virtual bool try_take(std::int32_t id) = 0;
  /// Bit i of word i / 32: token i may come. Empty: every token may. Waits for a mask that is still
  /// being made. Only when ready; valid until a token is taken.
  virtual std::span<const std::int32_t> mask() = 0;
  /// Token `id` came, whatever may come.
  virtual void take(std::int32_t id) = 0;
  /// Nothing may follow but an end token.
  virtual bool complete() = 0;
};

/// Compiles constraints over one vocabulary, keeps what it compiled, and makes masks. Thread-safe.
class ConstraintCompiler {
 public:
  using LoadVocabulary = std::function<Result<ConstraintVocabulary>()>;

  /// `load` is called when the first constraint comes, on another thread.
  explicit ConstraintCompiler(LoadVocabulary load);
  /// Outputs that it began must be gone.
  ~ConstraintCompiler();

  std::unique_ptr<ConstrainedOutput> begin(const OutputConstraint& constraint);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bundle::engine
