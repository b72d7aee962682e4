// Runs a program to its end and keeps what it printed: for tools that this product calls.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace bundle {

/// What to run. argv[0] is found on PATH; no shell is between.
struct Command {
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> environment = {};  // added to this process's
  std::string input = {};                                             // its standard input
  Path input_file = {};            // instead of `input`, when not empty
  std::uint64_t input_length = 0;  // of input_file, from input_offset on; 0: to its end
  std::uint64_t input_offset = 0;
  std::uint64_t max_output = 16u << 20;  // bytes of each stream that are kept
  std::chrono::milliseconds timeout{0};  // then it is killed; 0: none
  /// Called for each piece of standard output, which is then not kept; and, with an empty piece,
  /// every so often. Returning false ends the program with SIGTERM. May be empty.
  std::function<bool(std::string_view piece)> on_output = {};
  /// Called with how many bytes of the input were written so far. Returning false ends the program.
  std::function<bool(std::uint64_t sent)> on_sent = {};
};

struct CommandResult {
  int exit_code = 0;  // 128 + signal when a signal ended it
  std::string out;
  std::string err;
};

/// kNotFound when there is no such program; kInterrupted when on_output stopped it; kUnreachable
/// when the time ran out. Any exit code is an answer, not an error. Thread-safe.
Result<CommandResult> run_command(const Command& command);

}  // namespace bundle
