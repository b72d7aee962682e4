// bundle deploy and bundle rollback: make a deployment be as asked.
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/deployment_file.h"
#include "cli/display/deployment.h"
#include "cli/server_command.h"
#include "cloud/provider.h"

namespace bundle::cli {
namespace {

struct DeployArguments {
  std::string reference;
  std::string name;
  std::string target;
  std::string file;
  std::string host;
  int port = -1;
  int drain_seconds = -1;
  std::string api_key_file;
  std::vector<std::string> settings;
  bool plan = false;
  bool yes = false;
};

/// Arguments win over the file.
void fill_from(const DeploymentFile& file, DeployArguments& arguments) {
  const auto fill = [](std::string& into, const std::string& from) {
    if (into.empty()) into = from;
  };
  fill(arguments.reference, file.bundle);
  fill(arguments.name, file.name);
  fill(arguments.target, file.target);
  fill(arguments.host, file.host);
  fill(arguments.api_key_file, file.api_key_file);
  if (arguments.port < 0) arguments.port = file.port;
  if (arguments.drain_seconds < 0) arguments.drain_seconds = file.drain_seconds;
}

Status check_complete(DeployArguments& arguments) {
  if (arguments.reference.empty()) {
    return Error{ErrorCode::kUsage, "no bundle is named", "",
                 "Name one: bundle deploy REF --name NAME --target local."};
  }
  if (arguments.target.empty()) arguments.target = "local";
  if (arguments.host.empty()) arguments.host = "127.0.0.1";
  if (arguments.drain_seconds < 0) arguments.drain_seconds = 30;
  if (arguments.port < 0) arguments.port = 0;
  return {};
}

Result<cloud::DeploymentSpec> specification(DeployArguments arguments) {
  DeploymentFile file;
  if (!arguments.file.empty()) {
    BUNDLE_TRY(file, read_deployment_file(arguments.file));
  }
  fill_from(file, arguments);
  BUNDLE_CHECK(check_complete(arguments));
  JsonObject overrides;
  if (!file.runtime.empty()) overrides["runtime"] = file.runtime;
  BUNDLE_TRY(const ServerCommand command,
             server_command(arguments.reference, overrides, arguments.settings));
  cloud::DeploymentSpec spec;
  spec.name = arguments.name.empty() ? command.launch.name : arguments.name;
  spec.target = arguments.target;
  spec.bundle = command.bundle;
  spec.digest = command.digest;
  spec.server = command.program;
  spec.launch = command.launch.to_json().get_object();
  spec.host = arguments.host;
  spec.port = static_cast<std::uint16_t>(arguments.port);
  spec.drain_seconds = arguments.drain_seconds;
  if (!arguments.api_key_file.empty()) {
    spec.api_key_file = std::filesystem::absolute(arguments.api_key_file).string();
  }
  spec.environment = file.environment;
  return spec;
}

Result<Outcome> deploy(const DeployArguments& arguments, const Session& session) {
  BUNDLE_TRY(const cloud::DeploymentSpec spec, specification(arguments));
  BUNDLE_TRY(const auto provider, cloud::make_provider(spec.target));
  BUNDLE_TRY(const auto plan, provider->plan(spec));
  if (arguments.plan) return Outcome{cloud::to_json(plan), plan_text(plan)};
  BUNDLE_TRY(const auto status, provider->apply(spec, session.progress()));
  JsonObject document = cloud::to_json(status).get_object();
  document["changed"] = plan.changes;
  const std::string note = plan.changes ? "" : "nothing to change\n";
  return Outcome{std::move(document), note + status_text(status)};
}

Result<Outcome> roll_back(const std::string& name, std::int64_t revision, const Session& session) {
  BUNDLE_TRY(const auto provider, cloud::make_provider("local"));
  BUNDLE_TRY(const auto status, provider->rollback(name, revision, session.progress()));
  return Outcome{cloud::to_json(status), status_text(status)};
}

}  // namespace

void add_deploy(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<DeployArguments>();
  CLI::App* command = add_command(
      app, "deploy", "Run a bundle as a named deployment, or change one",
      "The same command again changes nothing; other settings make a new revision. The target\n"
      "'local' runs the server detached on this machine and keeps its port.\n\n"
      "Examples:\n"
      "  bundle deploy smollm2 --name prod --target local\n"
      "  bundle deploy smollm2 --name prod --target local --set runtime.max_sequences=16 --plan\n"
      "  bundle deploy -f deployment.yaml");
  command->add_option("REF", arguments->reference, "The bundle, model folder or .gguf file");
  command->add_option("--name", arguments->name, "Of the deployment (default: the bundle's)");
  command->add_option("--target", arguments->target, "Where to run it (default: local)");
  command->add_option("-f,--file", arguments->file, "Settings from a deployment.yaml")
      ->check(CLI::ExistingFile);
  command->add_option("--host", arguments->host, "Address to listen on (default: 127.0.0.1)");
  command->add_option("--port", arguments->port, "Port to listen on (default: a free one, kept)")
      ->check(CLI::Range(0, 65535));
  command
      ->add_option("--drain-seconds", arguments->drain_seconds,
                   "How long running requests may take at a stop (default: 30)")
      ->check(CLI::Range(0, 86400));
  command
      ->add_option("--api-key-file", arguments->api_key_file,
                   "Ask clients for one of this file's keys, one a line")
      ->check(CLI::ExistingFile);
  command->add_option("--set", arguments->settings, "Override a setting of bundle.yaml")
      ->type_name("KEY.PATH=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--plan", arguments->plan, "Say what would be done, and do nothing");
  command->add_flag("--yes", arguments->yes, "Do not ask (the target local never does)");
  on_run(command, session, [arguments, &session] { return deploy(*arguments, session); });
}

void add_rollback(CLI::App& app, Session& session) {
  auto name = std::make_shared<std::string>();
  auto revision = std::make_shared<std::int64_t>(0);
  CLI::App* command =
      add_command(app, "rollback", "Return a deployment to an earlier revision",
                  "Examples:\n  bundle rollback prod\n  bundle rollback prod --to 3");
  command->add_option("DEPLOYMENT", *name, "The deployment")->required();
  command->add_option("--to", *revision, "Revision number (default: the one before)");
  on_run(command, session,
         [name, revision, &session] { return roll_back(*name, *revision, session); });
}

}  // namespace bundle::cli
