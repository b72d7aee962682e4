// What the loader reads of an ELF file: which libraries it needs and where it says they are.
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace bundle::packager {

struct ElfFile {
  std::string interpreter;           // the loader a program asks for; "" for a library
  std::vector<std::string> needed;   // names of libraries
  std::vector<std::string> runpath;  // folders, "$ORIGIN" replaced
};

/// kBadInput for a file that is no 64-bit x86-64 ELF program or library, or is cut short.
Result<ElfFile> read_elf(const Path& path);

}  // namespace bundle::packager
