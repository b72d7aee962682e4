// The arrows between folders (docs/architecture.md): reads every #include of the product and fails
// on one that the list does not allow.
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

using Allowed = std::map<std::string, std::set<std::string>>;

/// Folder -> folders whose headers it may include, beside its own and base.
const Allowed& allowed() {
  static const Allowed table = {
      {"base", {}},
      {"runtime/comm", {}},
      {"runtime/format", {}},
      {"runtime/chat", {}},
      {"runtime/kernels", {"runtime/comm"}},
      {"runtime/sizing", {"runtime/format"}},
      {"runtime/tokenizer", {"runtime/format"}},
      {"runtime/model", {"runtime/kernels", "runtime/format", "runtime/comm"}},
      {"runtime/engine",
       {"runtime/model", "runtime/kernels", "runtime/format", "runtime/tokenizer", "runtime/sizing",
        "runtime/comm"}},
      {"runtime/server", {"runtime/engine", "runtime/chat", "runtime/tokenizer", "runtime/format"}},
      {"runtime/gateway", {"runtime/server"}},
      {"runtime/launch",
       {"runtime/server", "runtime/engine", "runtime/model", "runtime/kernels", "runtime/chat",
        "runtime/tokenizer", "runtime/format", "runtime/sizing", "runtime/comm"}},
      {"templates", {}},
      {"runtime/quantize", {"runtime/kernels"}},
      {"packager", {"runtime/format", "runtime/quantize", "templates"}},
      {"cloud", {"templates"}},
      {"cloud/catalog", {"runtime/sizing", "runtime/format"}},
      {"cli",
       {"packager", "cloud", "cloud/catalog", "templates", "runtime/launch", "runtime/server",
        "runtime/engine", "runtime/model", "runtime/kernels", "runtime/chat", "runtime/tokenizer",
        "runtime/sizing", "runtime/format", "runtime/gateway"}},
  };
  return table;
}

/// The innermost folder of the table that a path relative to the root lies in.
std::optional<std::string> folder_of(const std::string& path) {
  std::optional<std::string> found;
  for (const auto& [folder, unused] : allowed()) {
    const bool longer = !found || folder.size() > found->size();
    if (longer && path.rfind(folder + "/", 0) == 0) found = folder;
  }
  return found;
}

bool is_source(const fs::path& path) {
  static const std::set<std::string> kinds = {".cc", ".h", ".cu", ".cuh", ".inc"};
  return kinds.count(path.extension().string()) == 1;
}

std::vector<fs::path> sources(const std::string& root) {
  std::vector<fs::path> found;
  for (const char* top : {"base", "runtime", "templates", "packager", "cloud", "cli"}) {
    if (!fs::exists(fs::path(root) / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(root) / top)) {
      if (entry.is_regular_file() && is_source(entry.path())) found.push_back(entry.path());
    }
  }
  return found;
}

/// Paths in quotes of one file's #include lines.
std::vector<std::string> includes(const fs::path& path) {
  static const std::regex line_form(R"re(^\s*#\s*include\s*"([^"]+)")re");
  std::ifstream in(path);
  std::vector<std::string> found;
  for (std::string line; std::getline(in, line);) {
    std::smatch match;
    if (std::regex_search(line, match, line_form)) found.push_back(match[1]);
  }
  return found;
}

/// What is wrong with `from` including `target`, or "".
std::string violation(const std::string& from, const std::string& target) {
  const auto folder = folder_of(from);
  if (!folder) return from + " lies in no folder of the table";
  const auto other = folder_of(target);
  if (!other) return from + " includes \"" + target + "\", which is not a path from the root";
  if (*other == *folder || *other == "base") return "";
  if (allowed().at(*folder).count(*other) == 1) return "";
  return from + " includes " + target + ": no arrow " + *folder + " -> " + *other;
}

TEST(Arrows, EveryIncludeIsAllowed) {
  const fs::path root = BUNDLE_SOURCE_DIR;
  const auto files = sources(root);
  ASSERT_GT(files.size(), 20u);
  for (const fs::path& file : files) {
    for (const std::string& target : includes(file)) {
      const std::string wrong = violation(fs::relative(file, root).string(), target);
      EXPECT_EQ(wrong, "");
    }
  }
}

TEST(Arrows, TheTestSeesAWrongArrow) {
  EXPECT_NE(violation("runtime/engine/engine.cc", "runtime/server/session.h"), "");
  EXPECT_NE(violation("runtime/kernels/cpu/a.cc", "runtime/model/model.h"), "");
  EXPECT_NE(violation("cloud/local/a.cc", "packager/store.h"), "");
  EXPECT_NE(violation("base/a.cc", "runtime/format/gguf.h"), "");
  EXPECT_NE(violation("packager/a.cc", "store.h"), "");
  EXPECT_EQ(violation("cli/a.cc", "packager/store.h"), "");
}

/// Beast and Asio stay in the server and the gateway, CUDA's headers in the CUDA kernels.
TEST(Arrows, LibrariesStayInTheirFolders) {
  const fs::path root = BUNDLE_SOURCE_DIR;
  static const std::regex beast(R"re(#\s*include\s*<boost/(beast|asio)/)re");
  static const std::regex cuda(R"re(#\s*include\s*<(cuda|cublas|nccl))re");
  for (const fs::path& file : sources(root)) {
    const std::string name = fs::relative(file, root).string();
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
      if (std::regex_search(line, beast)) {
        EXPECT_TRUE(name.starts_with("runtime/server/") || name.starts_with("runtime/gateway/"))
            << name << ": " << line;
      }
      if (std::regex_search(line, cuda)) {
        EXPECT_EQ(name.rfind("runtime/kernels/cuda/", 0), 0u) << name << ": " << line;
      }
    }
  }
}

}  // namespace
