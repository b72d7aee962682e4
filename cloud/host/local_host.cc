#include "cloud/host/host.h"

namespace bundle::cloud {
namespace {

class LocalHost final : public Host {
 public:
  std::string name() const override { return "this host"; }
  std::string address() const override { return "127.0.0.1"; }

  Result<CommandResult> run(const std::vector<std::string>& argv,
                            std::string_view input) const override {
    return run_command({.argv = argv, .input = std::string(input)});
  }

  Status stream(const std::vector<std::string>& argv,
                const std::function<bool(std::string_view)>& sink) const override {
    BUNDLE_CHECK(run_command({.argv = argv, .on_output = sink}));
    return {};
  }

  /// A hard link where both lie on one file system: nothing is copied, and the bundle may be
  /// removed from the store while the deployment lives.
  Status put(const HostFile& file, const std::string& path,
             const Progress& progress) const override {
    if (progress && !progress("placing " + path, 0, file.size)) {
      return Error{ErrorCode::kInterrupted, "stopped while files were placed"};
    }
    constexpr std::string_view kScript =
        "set -e; umask 022; mkdir -p -- \"$(dirname -- \"$2\")\"; rm -f -- \"$2.part\"; "
        "ln -L -- \"$1\" \"$2.part\" 2>/dev/null || cp -L --reflink=auto -- \"$1\" \"$2.part\"; "
        "mv -f -- \"$2.part\" \"$2\"";
    BUNDLE_CHECK(run_script(*this, kScript, {file.path, path}));
    return {};
  }
};

}  // namespace

std::unique_ptr<Host> local_host() { return std::make_unique<LocalHost>(); }

}  // namespace bundle::cloud
