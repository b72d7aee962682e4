// bundle deploy: makes a deployment be as asked.
#include <memory>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>

#include "base/file.h"
#include "cli/apply.h"
#include "cli/commands.h"
#include "cli/deployment_file.h"
#include "cli/deployment_request.h"
#include "cli/display/deployment.h"

namespace bundle::cli {
namespace {

struct DeployArguments {
  std::string reference;
  std::string name;
  std::string target;
  std::string file;
  std::string host;
  int port = -1;
  int replicas = -1;
  int drain_seconds = -1;
  std::string api_key_file;
  std::vector<std::string> environment;  // NAME=VALUE
  std::vector<std::string> secrets;      // NAME=FILE
  std::vector<std::string> hosts;        // of the target ssh
  std::vector<std::string> settings;
  std::string render;
  ApplyArguments apply;
};

/// NAME=VALUE assignments into a section of the document.
Status assign(const std::vector<std::string>& assignments, const char* section, bool paths,
              JsonObject& document) {
  for (const std::string& assignment : assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error{ErrorCode::kUsage,
                   "'" + assignment + "' is not NAME=" + (paths ? "FILE" : "VALUE")};
    }
    std::string value = assignment.substr(equals + 1);
    if (paths) value = std::filesystem::absolute(value).lexically_normal().string();
    merge(document, {{section, JsonObject{{assignment.substr(0, equals), value}}}});
  }
  return {};
}

/// Arguments win over the file.
Result<JsonObject> request(const DeployArguments& arguments) {
  JsonObject document;
  if (!arguments.file.empty()) {
    BUNDLE_TRY(document, read_deployment_file(arguments.file));
  }
  const auto text = [&document](const char* key, const std::string& value) {
    if (!value.empty()) document[key] = value;
  };
  const auto whole = [&document](const char* key, int value) {
    if (value >= 0) document[key] = value;
  };
  text("bundle", arguments.reference);
  text("name", arguments.name);
  text("target", arguments.target);
  text("host", arguments.host);
  whole("port", arguments.port);
  whole("replicas", arguments.replicas);
  whole("drain_seconds", arguments.drain_seconds);
  if (!arguments.api_key_file.empty()) {
    document["api_key_file"] = std::filesystem::absolute(arguments.api_key_file).string();
  }
  BUNDLE_CHECK(assign(arguments.environment, "env", false, document));
  BUNDLE_CHECK(assign(arguments.secrets, "secrets", true, document));
  if (!arguments.hosts.empty()) {
    JsonArray hosts;
    for (const std::string& host : arguments.hosts) hosts.emplace_back(host);
    merge(document, {{"ssh", JsonObject{{"hosts", std::move(hosts)}}}});
  }
  return document;
}

Result<Outcome> render(const cloud::Provider& provider, const cloud::DeploymentSpec& spec,
                       const Path& folder) {
  BUNDLE_TRY(const auto files, provider.render(spec));
  JsonArray list;
  std::string text;
  for (const cloud::RenderedFile& file : files) {
    const Path path = folder / file.path;
    BUNDLE_CHECK(make_directories(path.parent_path()));
    BUNDLE_CHECK(write_file_atomic(path, file.text));
    list.emplace_back(path.string());
    text += path.string() + "\n";
  }
  return Outcome{JsonObject{{"files", std::move(list)}}, std::move(text)};
}

/// What a plan would promise and an apply could not read.
Status check_files(const cloud::DeploymentSpec& spec) {
  constexpr std::uint64_t kMost = 1u << 20;
  std::vector<std::pair<std::string, std::string>> files = {
      {"api_key_file", spec.api_key_file},
      {"tls.certificate", spec.tls.certificate},
      {"tls.key", spec.tls.key},
      {"tls.client_ca", spec.tls.client_ca}};
  for (const auto& [name, file] : spec.secrets) files.emplace_back("secrets." + name, file);
  for (const auto& [key, file] : files) {
    if (file.empty()) continue;
    if (const auto text = read_file(file, kMost); !text) {
      Error error = text.error();
      error.what = "'" + key + "': " + error.what;
      return error;
    }
  }
  return {};
}

Result<Outcome> deploy(const DeployArguments& arguments, const Session& session) {
  BUNDLE_TRY(const JsonObject document, request(arguments));
  BUNDLE_TRY(const cloud::DeploymentSpec spec, deployment_spec(document, arguments.settings));
  const cloud::Place place{spec.target, spec.settings};
  BUNDLE_TRY(const auto provider, open_provider(place));
  BUNDLE_CHECK(cloud::check(spec));
  // Quadlets name files of the host that they are copied to.
  if (spec.target != "podman") BUNDLE_CHECK(check_files(spec));
  if (!arguments.render.empty()) return render(*provider, spec, arguments.render);
  return apply(*provider, place, spec, arguments.apply, session);
}

void add_options(CLI::App& command, DeployArguments& arguments) {
  command.add_option("REF", arguments.reference, "The bundle, model folder or .gguf file");
  command.add_option("--name", arguments.name, "Of the deployment (default: the bundle's)");
  command.add_option("--target", arguments.target, "Where to run it (default: local)");
  command.add_option("-f,--file", arguments.file, "Settings from a deployment.yaml")
      ->check(CLI::ExistingFile);
  command.add_option("--on", arguments.hosts, "[USER@]HOST[:PORT] of the target ssh; repeatable")
      ->type_name("HOST")
      ->allow_extra_args(false);
  command
      .add_option("--replicas", arguments.replicas, "How many copies (default: the bundle's, or 1)")
      ->check(CLI::Range(0, 10000));
  command.add_option("--host", arguments.host, "Address to listen on (default: 127.0.0.1)");
  command.add_option("--port", arguments.port, "Port to listen on (default: a free one, kept)")
      ->check(CLI::Range(0, 65535));
  command
      .add_option("--drain-seconds", arguments.drain_seconds,
                  "How long running requests may take at a stop (default: 30)")
      ->check(CLI::Range(0, 86400));
  command
      .add_option("--api-key-file", arguments.api_key_file,
                  "Ask clients for one of this file's keys, one a line")
      ->check(CLI::ExistingFile);
  command.add_option("--env", arguments.environment, "An environment variable of the server")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command.add_option("--secret", arguments.secrets, "One whose value lies in a file")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  command.add_option("--set", arguments.settings, "Override a setting of bundle.yaml")
      ->type_name("KEY.PATH=VALUE")
      ->allow_extra_args(false);
  command.add_option("--render", arguments.render,
                     "Write the target's files into this folder, and apply nothing");
  add_apply_options(command, arguments.apply);
}

}  // namespace

void add_deploy(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<DeployArguments>();
  CLI::App* command = add_command(
      app, "deploy", "Run a bundle as a named deployment, or change one",
      "The same command again changes nothing; other settings make a new revision. Targets other\n"
      "than 'local' show their plan and ask first; --yes does not ask.\n\n"
      "Examples:\n"
      "  bundle deploy smollm2 --name prod --target local\n"
      "  bundle deploy smollm2 --name prod --target local --set runtime.max_sequences=16 --plan\n"
      "  bundle deploy smollm2 --name prod --target ssh --on root@node1 --on root@node2 --yes\n"
      "  bundle deploy -f examples/deploy/distill-aws.yaml --plan\n"
      "  bundle deploy -f deployment.yaml --render manifests/");
  add_options(*command, *arguments);
  on_run(command, session, [arguments, &session] { return deploy(*arguments, session); });
}

}  // namespace bundle::cli
