// The bundle program, run through the shell with a home of its own.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>

#include "base/file.h"
#include "tests/golden/temp_folder.h"

namespace bundle {

struct Ran {
  int code;
  std::string out;
  std::string err;
};

class BundleProgram : public testing::Test {
 protected:
  void SetUp() override { ::setenv("BUNDLE_HOME", home_.c_str(), 1); }

  /// Runs `bundle ARGUMENTS` through the shell.
  Ran run(const std::string& arguments) {
    const std::string err = (home_ / "stderr").string();
    const std::string command =
        std::string(BUNDLE_BINARY_DIR) + "/bin/bundle " + arguments + " 2>" + err;
    FILE* pipe = ::popen(command.c_str(), "r");
    std::string out;
    std::array<char, 4096> buffer;
    for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
      out.append(buffer.data(), n);
    }
    const int status = ::pclose(pipe);
    return {WEXITSTATUS(status), out, read_file(err).value()};
  }

  golden::TempFolder folder_;
  Path home_ = folder_.path();
};

}  // namespace bundle
