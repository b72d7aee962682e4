// bundle serve: becomes the bundle's own server, in the foreground.
#include <cerrno>
#include <cstring>
#include <memory>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/server_command.h"
#include "cli/trust_options.h"

namespace bundle::cli {
namespace {

struct ServeArguments {
  std::string reference;
  std::string host = "127.0.0.1";
  int port = 8000;
  int admin_port = -1;
  int drain_seconds = 30;
  std::string api_key_file;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
  std::string access_log;
  std::string nodes;
  int node_rank = -1;
  std::string leader;
  std::string node_host;
  std::string group_token_file;
  bool group_without_token = false;
  std::vector<std::string> settings;
  std::shared_ptr<packager::signing::TrustOptions> trust;
};

std::vector<std::string> command_line(const ServeArguments& arguments, const ServerCommand& command,
                                      const Path& launch) {
  std::vector<std::string> argv = command.program;
  const auto add = [&argv](const char* option, const std::string& value) {
    argv.emplace_back(option);
    argv.push_back(value);
  };
  add("--launch", launch.string());
  add("--host", arguments.host);
  add("--port", std::to_string(arguments.port));
  add("--drain-seconds", std::to_string(arguments.drain_seconds));
  if (arguments.admin_port >= 0) add("--admin-port", std::to_string(arguments.admin_port));
  const std::pair<const char*, const std::string*> files[] = {
      {"--api-key-file", &arguments.api_key_file},
      {"--tls-cert", &arguments.tls_cert},
      {"--tls-key", &arguments.tls_key},
      {"--tls-client-ca", &arguments.tls_client_ca},
      {"--access-log", &arguments.access_log},
      {"--nodes", &arguments.nodes},
      {"--leader", &arguments.leader},
      {"--node-host", &arguments.node_host},
      {"--group-token-file", &arguments.group_token_file},
  };
  for (const auto& [option, value] : files) {
    if (!value->empty()) add(option, *value);
  }
  if (arguments.node_rank >= 0) add("--node-rank", std::to_string(arguments.node_rank));
  if (arguments.group_without_token) argv.emplace_back("--group-without-token");
  return argv;
}

/// One model over several machines (docs/parallelism.md).
void add_group_options(CLI::App* command, ServeArguments& arguments) {
  command
      ->add_option("--nodes", arguments.nodes,
                   "Machines that serve the model together; auto asks LeaderWorkerSet's or Slurm's "
                   "variables")
      ->type_name("N|auto");
  command
      ->add_option("--node-rank", arguments.node_rank,
                   "Which of them this is, from 0, which takes requests")
      ->check(CLI::Range(0, 63));
  command
      ->add_option("--leader", arguments.leader,
                   "Where machine 0 waits for the others; port 29500 unless said")
      ->type_name("HOST[:PORT]");
  command->add_option("--node-host", arguments.node_host, "This machine's address in the group");
  command
      ->add_option("--group-token-file", arguments.group_token_file,
                   "File with the secret that all machines of the group have")
      ->check(CLI::ExistingFile);
  command->add_flag("--group-without-token", arguments.group_without_token,
                    "Let any machine that asks into the group");
}

/// Replaces this process, so that signals and the exit code are the server's own.
Error become(std::vector<std::string> argv) {
  std::vector<char*> pointers;
  for (std::string& argument : argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  ::execv(pointers[0], pointers.data());
  return system_error("cannot start the server", argv[0]);
}

Result<Outcome> serve(const ServeArguments& arguments) {
  BUNDLE_TRY(const ServerCommand command,
             server_command(arguments.reference, {}, arguments.settings, *arguments.trust));
  const Path folder = bundle_home() / "launch";
  BUNDLE_CHECK(make_directories(folder));
  const Path launch = folder / ("serve-" + std::to_string(::getpid()) + ".json");
  BUNDLE_CHECK(write_file_atomic(launch, pretty_json(command.launch.to_json())));
  const Error error = become(command_line(arguments, command, launch));
  ::unlink(launch.c_str());
  return error;
}

}  // namespace

void add_serve(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ServeArguments>();
  CLI::App* command = add_command(
      app, "serve", "Serve a bundle here, in the foreground",
      "REF is a bundle of the store, or the path of a model folder or .gguf file. Prints\n"
      "'ready http://HOST:PORT' on standard error once requests are answered. SIGTERM and Ctrl-C\n"
      "finish running requests first; a second one ends at once.\n\n"
      "Examples:\n"
      "  bundle serve smollm2\n"
      "  bundle serve smollm2 --port 8080 --set runtime.context_length=2048\n"
      "  bundle serve ./SmolLM2.Q4_1.gguf --api-key-file keys.txt\n"
      "  bundle serve r1 --nodes 2 --node-rank 0 --leader 10.0.0.1 --group-token-file token \\\n"
      "      --set runtime.parallel.pipeline=2");
  command->add_option("REF", arguments->reference, "What to serve")->required();
  command->add_option("--host", arguments->host, "Address to listen on")->capture_default_str();
  command->add_option("--port", arguments->port, "Port to listen on; 0 takes any free one")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  command
      ->add_option("--admin-port", arguments->admin_port,
                   "Probes and metrics without a key, on loopback")
      ->check(CLI::Range(0, 65535));
  command
      ->add_option("--api-key-file", arguments->api_key_file,
                   "Ask clients for one of this file's keys, one a line")
      ->check(CLI::ExistingFile);
  CLI::Option* certificate =
      command
          ->add_option("--tls-cert", arguments->tls_cert, "Serve HTTPS with this certificate chain")
          ->check(CLI::ExistingFile);
  CLI::Option* key =
      command->add_option("--tls-key", arguments->tls_key, "The certificate's private key")
          ->check(CLI::ExistingFile)
          ->needs(certificate);
  certificate->needs(key);
  command
      ->add_option("--tls-client-ca", arguments->tls_client_ca,
                   "Let in only clients with a certificate of it")
      ->check(CLI::ExistingFile)
      ->needs(certificate);
  command->add_option("--access-log", arguments->access_log,
                      "A line of JSON for each request; - is standard error");
  command
      ->add_option("--drain-seconds", arguments->drain_seconds,
                   "How long running requests may take after SIGTERM")
      ->capture_default_str()
      ->check(CLI::Range(0, 86400));
  add_group_options(command, *arguments);
  command->add_option("--set", arguments->settings, "Override a setting of bundle.yaml")
      ->type_name("KEY.PATH=VALUE")
      ->allow_extra_args(false);
  arguments->trust = add_trust_options(command);
  on_run(command, session, [arguments] { return serve(*arguments); });
}

}  // namespace bundle::cli
