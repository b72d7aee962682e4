#include <algorithm>
#include <charconv>
#include <sys/stat.h>

#include "cloud/host/host.h"
#include "templates/quote.h"

namespace bundle::cloud {
namespace {

struct Address {
  std::string user_host;
  std::string host;
  std::string port;
};

Error bad_address(const std::string& text) {
  return bad_input("'" + text + "' is no address of a host", "", "Write [USER@]HOST[:PORT].");
}

/// IPv6 addresses stand in brackets.
Result<Address> parse_address(const std::string& text) {
  const bool clean =
      !text.empty() && text[0] != '-' && std::all_of(text.begin(), text.end(), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("@.:-_[]%").find(c) != std::string_view::npos;
      });
  if (!clean) return bad_address(text);
  const std::size_t at = text.rfind('@');
  const std::string user = at == std::string::npos ? "" : text.substr(0, at + 1);
  std::string rest = at == std::string::npos ? text : text.substr(at + 1);
  Address address;
  const std::size_t bracket = rest.find(']');
  const std::size_t colon = rest.find(':', bracket == std::string::npos ? 0 : bracket);
  if (colon != std::string::npos) {
    address.port = rest.substr(colon + 1);
    rest.resize(colon);
    int number = 0;
    const auto [end, error] =
        std::from_chars(address.port.data(), address.port.data() + address.port.size(), number);
    const bool whole = error == std::errc() && end == address.port.data() + address.port.size();
    if (!whole || number < 1 || number > 65535) return bad_address(text);
  }
  if (bracket != std::string::npos) rest = rest.substr(1, bracket - 1);
  if (rest.empty() || rest[0] == '-') return bad_address(text);
  address.host = rest;
  address.user_host = user + rest;
  return address;
}

class SshHost final : public Host {
 public:
  SshHost(std::string name, Address address, const SshOptions& options)
      : name_(std::move(name)), address_(std::move(address)) {
    base_ = {"ssh", "-T",
             "-o",  "BatchMode=yes",
             "-o",  "ConnectTimeout=10",
             "-o",  "ServerAliveInterval=15",
             "-o",  "ServerAliveCountMax=4"};
    if (!options.config_file.empty()) base_.insert(base_.end(), {"-F", options.config_file});
    if (!options.key_file.empty()) base_.insert(base_.end(), {"-i", options.key_file});
    if (!address_.port.empty()) base_.insert(base_.end(), {"-p", address_.port});
    share_connection();
  }

  std::string name() const override { return name_; }
  std::string address() const override { return address_.host; }

  Result<CommandResult> run(const std::vector<std::string>& argv,
                            std::string_view input) const override {
    return checked(run_command({.argv = command_line(argv), .input = std::string(input)}));
  }

  Status stream(const std::vector<std::string>& argv,
                const std::function<bool(std::string_view)>& sink) const override {
    BUNDLE_CHECK(checked(run_command({.argv = command_line(argv), .on_output = sink})));
    return {};
  }

  Status put(const HostFile& file, const std::string& path,
             const Progress& progress) const override {
    BUNDLE_TRY(const std::uint64_t there, prepare(path));
    Command upload;
    upload.argv = command_line({"sh", "-c", kReceive, "sh", path, file.sha256});
    upload.input_file = there < file.size ? file.path : "/dev/null";
    upload.input_offset = there;
    const std::string stage = "sending to " + name_;
    upload.on_sent = [&](std::uint64_t sent) {
      return !progress || progress(stage, there + sent, file.size);
    };
    BUNDLE_TRY(const CommandResult result, checked(run_command(upload)));
    if (result.exit_code == 0) return {};
    if (result.exit_code == kWrongHash) {
      return failed("what arrived of " + path + " has another hash", name_,
                    "The partial file was removed; run the same command again.");
    }
    return failed("the host could not take " + path + ": " + result.err, name_,
                  "Is its disk full? What arrived is kept, and the next try goes on from there.");
  }

 private:
  static constexpr int kWrongHash = 45;
  static constexpr const char* kReceive =
      "set -e; cat >> \"$1.part\"; "
      "if [ -n \"$2\" ] && ! printf '%s  %s\\n' \"$2\" \"$1.part\" | sha256sum -c --status; "
      "then rm -f -- \"$1.part\"; exit 45; fi; chmod 0644 -- \"$1.part\"; "
      "case $1 in */bin/*|*/ld-linux*) chmod 0755 -- \"$1.part\";; esac; mv -f -- \"$1.part\" "
      "\"$1\"";

  /// Makes the folder, and tells how much an earlier try left.
  Result<std::uint64_t> prepare(const std::string& path) const {
    BUNDLE_TRY(const std::string text,
               run_script(*this,
                          "set -e; umask 022; mkdir -p -- \"$(dirname -- \"$1\")\"; "
                          "stat -c %s -- \"$1.part\" 2>/dev/null || echo 0",
                          {path}));
    std::uint64_t size = 0;
    std::from_chars(text.data(), text.data() + text.size(), size);
    return size;
  }

  /// One connection serves all commands of a minute.
  void share_connection() {
    const Path folder = bundle_home() / "run";
    constexpr std::size_t kLongestFolder = 45;  // a socket's path holds 107 bytes; %C takes 40
    if (folder.string().size() > kLongestFolder || !make_directories(folder)) return;
    ::chmod(folder.c_str(), 0700);
    base_.insert(base_.end(),
                 {"-o", "ControlMaster=auto", "-o", "ControlPath=" + (folder / "%C").string(), "-o",
                  "ControlPersist=60"});
  }

  /// The remote login shell takes one string apart again: every word is quoted for it.
  std::vector<std::string> command_line(const std::vector<std::string>& argv) const {
    std::vector<std::string> all = base_;
    std::string remote;
    for (const std::string& word : argv) {
      remote += (remote.empty() ? "" : " ") + templates::shell_word(word);
    }
    all.insert(all.end(), {"--", address_.user_host, remote});
    return all;
  }

  Result<CommandResult> checked(Result<CommandResult> result) const {
    constexpr int kSshFailed = 255;
    if (!result || result->exit_code != kSshFailed) return result;
    std::string said = result->err;
    while (!said.empty() && (said.back() == '\n' || said.back() == '\r')) said.pop_back();
    return Error{ErrorCode::kUnreachable, "the host cannot be reached: " + said, name_,
                 "Does '" + by_hand() + "' work without a question?"};
  }

  /// The same call as a person would make it.
  std::string by_hand() const {
    std::string command = "ssh";
    for (std::size_t i = 0; i + 1 < base_.size(); ++i) {
      if (base_[i] != "-p" && base_[i] != "-i" && base_[i] != "-F") continue;
      command += " " + base_[i] + " " + templates::shell_word(base_[i + 1]);
    }
    return command + " " + address_.user_host + " true";
  }

  std::string name_;
  Address address_;
  std::vector<std::string> base_;
};

}  // namespace

Result<std::unique_ptr<Host>> ssh_host(const std::string& address, const SshOptions& options) {
  BUNDLE_TRY(Address parsed, parse_address(address));
  return std::unique_ptr<Host>(std::make_unique<SshHost>(address, std::move(parsed), options));
}

}  // namespace bundle::cloud
