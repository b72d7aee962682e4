// A machine that commands run on: this one, or one that OpenSSH reaches. Words of a command arrive
// there exactly as given.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/command.h"
#include "base/progress.h"
#include "cloud/deployment_spec.h"

namespace bundle::cloud {

/// Thread-safe.
class Host {
 public:
  virtual ~Host() = default;
  virtual std::string name() const = 0;     // for people
  virtual std::string address() const = 0;  // that clients connect to

  /// Runs `argv` there with `input` on its standard input. Any exit code is an answer;
  /// kUnreachable when the host is.
  virtual Result<CommandResult> run(const std::vector<std::string>& argv,
                                    std::string_view input = {}) const = 0;
  /// Runs `argv` and hands its output to `sink`, which stops it by returning false.
  virtual Status stream(const std::vector<std::string>& argv,
                        const std::function<bool(std::string_view)>& sink) const = 0;
  /// Brings a file to `path` there, under a temporary name until it is whole and its hash is right.
  /// Goes on where an earlier try was cut off.
  virtual Status put(const HostFile& file, const std::string& path,
                     const Progress& progress) const = 0;
};

std::unique_ptr<Host> local_host();

struct SshOptions {
  std::string key_file;     // "" for ssh's own choice
  std::string config_file;  // "" for the user's
};

/// `address` is [USER@]HOST[:PORT]. kBadInput for what could be taken for an option or a word more.
Result<std::unique_ptr<Host>> ssh_host(const std::string& address, const SshOptions& options);

/// Runs `argv` and gives its output; kFailed with what it printed when it ends with another code
/// than 0.
Result<std::string> run_checked(const Host& host, const std::vector<std::string>& argv,
                                std::string_view input = {});

/// Runs POSIX sh with `script` and positional arguments, checked in the same way.
Result<std::string> run_script(const Host& host, std::string_view script,
                               const std::vector<std::string>& arguments,
                               std::string_view input = {});

/// The text of a file there, or none when there is no such file.
Result<std::optional<std::string>> read_text(const Host& host, const std::string& path);

/// Replaces a file there in one step; its folder is made. `mode` as chmod takes it.
Status write_text(const Host& host, const std::string& path, std::string_view text,
                  const std::string& mode = "0644");

/// Those of `paths` that are no files of the given sizes there.
Result<std::vector<std::string>> missing_files(
    const Host& host, const std::vector<std::pair<std::string, std::uint64_t>>& paths);

}  // namespace bundle::cloud
