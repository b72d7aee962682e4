// How every folder reports failure: a value that says what happened, where, and what to do.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <boost/system/result.hpp>

namespace bundle {

/// Kinds of failure. The numbers are the process exit codes of the command line.
enum class ErrorCode : int {
  kFailed = 1,       // the work could not be done
  kUsage = 2,        // the caller asked for something that is not offered
  kBadInput = 3,     // a file, manifest or request is unreadable, truncated or lies
  kNotFound = 4,     // no such bundle, deployment, file or tensor
  kUnreachable = 5,  // the other side refused or does not answer
  kInterrupted = 130,
};

/// Lower-case name of a code, as printed by `--output json`: "bad_input", "not_found", …
const char* code_name(ErrorCode code);

/// One failure. `where` names a file, key or offset and may be empty; `remedy` is a full sentence
/// that tells a person what to do, and may be empty.
struct Error {
  ErrorCode code = ErrorCode::kFailed;
  std::string what;
  std::string where = {};
  std::string remedy = {};

  /// "what (where). remedy", on one line.
  std::string message() const;
};

/// Thrown by `Result::value()` on an error: only a programming mistake gets here.
struct BadResult : std::logic_error {
  using std::logic_error::logic_error;
};

[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location&) {
  throw BadResult(error.message());
}

template <typename T>
using Result = boost::system::result<T, Error>;

using Status = Result<void>;

/// The usual three constructors of an Error.
Error bad_input(std::string what, std::string where = {}, std::string remedy = {});
Error not_found(std::string what, std::string where = {}, std::string remedy = {});
Error failed(std::string what, std::string where = {}, std::string remedy = {});

/// A failure of the operating system: appends strerror(errno).
Error system_error(std::string what, std::string where = {});

}  // namespace bundle

#define BUNDLE_CONCAT_(a, b) a##b
#define BUNDLE_CONCAT(a, b) BUNDLE_CONCAT_(a, b)

/// `BUNDLE_TRY(auto x, f());` defines x, or returns f's error from the enclosing function.
#define BUNDLE_TRY(decl, expr) BUNDLE_TRY_(decl, expr, BUNDLE_CONCAT(bundle_try_, __LINE__))
#define BUNDLE_TRY_(decl, expr, tmp)                  \
  auto tmp = (expr); /* NOLINT */                     \
  if (tmp.has_error()) return std::move(tmp).error(); \
  decl = *std::move(tmp)

/// `BUNDLE_CHECK(f());` returns f's error from the enclosing function.
#define BUNDLE_CHECK(expr)                                      \
  do {                                                          \
    if (auto bundle_check_ = (expr); bundle_check_.has_error()) \
      return std::move(bundle_check_).error();                  \
  } while (false)
