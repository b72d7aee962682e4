#include "cli/registry_options.h"

#include <CLI/CLI.hpp>

namespace bundle::cli {

std::shared_ptr<TransferOptions> add_transfer_options(CLI::App* command, int parallel) {
  auto options = std::make_shared<TransferOptions>();
  options->parallel = parallel;
  command->add_flag("--plain-http", options->registry.plain_http, "Reach the registry without TLS");
  command
      ->add_option_function<std::string>(
          "--ca-file", [options](const std::string& file) { options->registry.ca_file = file; },
          "Certificates (PEM) to trust instead of the system's")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  command
      ->add_option_function<std::string>(
          "--auth-file", [options](const std::string& file) { options->registry.auth_file = file; },
          "Credentials in Docker's form, instead of ~/.docker/config.json")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  command
      ->add_option("--token-host", options->registry.token_hosts,
                   "A further host that may be given the registry's password")
      ->type_name("HOST")
      ->allow_extra_args(false);
  command->add_option("--parallel", options->parallel, "Transfers at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  return options;
}

}  // namespace bundle::cli
