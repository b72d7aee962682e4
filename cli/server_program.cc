#include "cli/server_program.h"

#include <algorithm>
#include <functional>
#include <string>

namespace bundle::cli {

Status check_server_program(const Path& program) {
  if (program.empty()) return {};
  BUNDLE_TRY(const MappedFile map, MappedFile::open(program));
  // bundle-server holds this in one piece (server_main.cc); this program, in two, does not.
  std::string mark = "bundle-server, ";
  mark += "launch contract 1";
  const std::string_view text = as_text(map.bytes());
  const auto found =
      std::search(text.begin(), text.end(), std::boyer_moore_searcher(mark.begin(), mark.end()));
  if (found != text.end()) return {};
  return Error{ErrorCode::kUsage, "it is no bundle-server", program.string(),
               "Name the bundle-server of an installation, or leave --server out."};
}

}  // namespace bundle::cli
