#include "cli/trust_options.h"

#include <CLI/CLI.hpp>

namespace bundle::cli {

std::shared_ptr<packager::signing::TrustOptions> add_trust_options(CLI::App* command) {
  auto options = std::make_shared<packager::signing::TrustOptions>();
  auto how = std::make_shared<std::string>();
  command
      ->add_flag("--require-signature{recorded}", *how,
                 "Refuse a bundle without a trusted signature; '=full' hashes every byte again")
      ->check(CLI::IsMember({"recorded", "full"}))
      ->each([options, how](const std::string& value) {
        options->require_signature = true;
        options->full = value == "full";
      });
  command
      ->add_option_function<std::vector<std::string>>(
          "--key",
          [options](const std::vector<std::string>& files) {
            options->keys.assign(files.begin(), files.end());
          },
          "A public key to trust")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->check(CLI::ExistingFile);
  command
      ->add_option_function<std::string>(
          "--policy", [options](const std::string& file) { options->policy = file; },
          "Trust policy, instead of $BUNDLE_HOME/trust.yaml")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  return options;
}

}  // namespace bundle::cli
