// The documents that are compiled in.
#pragma once

#include <span>
#include <string_view>

namespace bundle::catalog {

struct EmbeddedFile {
  std::string_view name;
  std::string_view text;
};

/// GPUs before the machines that have them.
std::span<const EmbeddedFile> embedded_files();

}  // namespace bundle::catalog
