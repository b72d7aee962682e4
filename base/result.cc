#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace bundle {

const char* code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kFailed:
      return "failed";
    case ErrorCode::kUsage:
      return "usage";
    case ErrorCode::kBadInput:
      return "bad_input";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kUnreachable:
      return "unreachable";
    case ErrorCode::kInterrupted:
      return "interrupted";
  }
  return "failed";
}

std::string Error::message() const {
  std::string text = what;
  if (!where.empty()) text += " (" + where + ")";
  if (!remedy.empty()) text += ". " + remedy;
  return text;
}

Error bad_input(std::string what, std::string where, std::string remedy) {
  return {ErrorCode::kBadInput, std::move(what), std::move(where), std::move(remedy)};
}

Error not_found(std::string what, std::string where, std::string remedy) {
  return {ErrorCode::kNotFound, std::move(what), std::move(where), std::move(remedy)};
}

Error failed(std::string what, std::string where, std::string remedy) {
  return {ErrorCode::kFailed, std::move(what), std::move(where), std::move(remedy)};
}

Error system_error(std::string what, std::string where) {
  const int number = errno;
  const auto code = number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kFailed;
  return {code, std::move(what) + ": " + std::strerror(number), std::move(where), {}};
}

}  // namespace bundle
