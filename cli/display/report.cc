#include "cli/display/report.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/text.h"

namespace bundle::cli {
namespace {

/// False when it could not be written, as to a full disk.
bool print(const std::string& text) {
  const std::size_t written = std::fwrite(text.data(), 1, text.size(), stdout);
  return std::fflush(stdout) == 0 && written == text.size();
}

/// What a bundle or a server says of itself is foreign: it may not speak to the terminal.
void print_line(const char* before, const std::string& text) {
  std::fprintf(stderr, "%s%s\n", before, show_controls(text).c_str());
}

}  // namespace

int report(const Outcome& outcome, bool json) {
  const bool written = print(outcome.verbatim ? outcome.text
                             : json           ? pretty_json(outcome.document)
                                              : show_controls(outcome.text));
  if (written) return outcome.exit_code;
  const int number = errno;
  std::fprintf(stderr, "bundle: cannot write the output: %s\n", std::strerror(number));
  return static_cast<int>(ErrorCode::kFailed);
}

int report(const Error& error, bool json) {
  if (json) {
    print(pretty_json(error_document(error)));
  } else {
    print_line("bundle: ", error.what);
    if (!error.where.empty()) print_line("  where: ", error.where);
    if (!error.remedy.empty()) print_line("  ", error.remedy);
  }
  return static_cast<int>(error.code);
}

Json error_document(const Error& error) {
  return JsonObject{{"error", JsonObject{{"code", code_name(error.code)},
                                         {"message", error.what},
                                         {"where", error.where},
                                         {"remedy", error.remedy}}}};
}

}  // namespace bundle::cli
