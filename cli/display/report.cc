#include "cli/display/report.h"

#include <cstdio>

namespace bundle::cli {
namespace {

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

int report(const Outcome& outcome, bool json) {
  print(json && !outcome.verbatim ? pretty_json(outcome.document) : outcome.text);
  return outcome.exit_code;
}

int report(const Error& error, bool json) {
  if (json) {
    print(pretty_json(error_document(error)));
  } else {
    std::fprintf(stderr, "bundle: %s\n", error.what.c_str());
    if (!error.where.empty()) std::fprintf(stderr, "  where: %s\n", error.where.c_str());
    if (!error.remedy.empty()) std::fprintf(stderr, "  %s\n", error.remedy.c_str());
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
