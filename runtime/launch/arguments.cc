#include "runtime/launch/arguments.h"

#include <CLI/CLI.hpp>

#include "runtime/launch/runtime_settings.h"

namespace bundle::launch {
namespace {

constexpr std::uint64_t kMostKeyFile = 1u << 20;

void declare_group(CLI::App& app, Arguments& a) {
  app.add_option("--nodes", a.nodes,
                 "Machines that serve the model together; auto asks LeaderWorkerSet's or Slurm's "
                 "variables for what is not given")
      ->type_name("N|auto");
  app.add_option("--node-rank", a.node_rank, "Which of them this is; 0 takes requests")
      ->check(CLI::Range(0, 63));
  app.add_option("--leader", a.leader,
                 "Where machine 0 waits for the others; port 29500 unless said")
      ->type_name("HOST[:PORT]");
  app.add_option("--node-host", a.node_host,
                 "This machine's address in the group; else the one that reaches the leader");
  app.add_option("--group-token-file", a.group_token_file,
                 "File with the secret that all machines of the group have; else "
                 "BUNDLE_GROUP_TOKEN");
  app.add_flag("--group-without-token", a.group_without_token,
               "Let any machine that asks into the group");
}

void declare(CLI::App& app, Arguments& a) {
  auto* what = app.add_option_group("model", "What to serve; one of");
  what->add_option("--launch", a.launch_file, "A launch document (JSON)");
  what->add_option("--model", a.model_path, "A model folder or .gguf file");
  what->require_option(1);
  app.add_option("--name", a.name, "Name of the model in the API");
  app.add_option("--host", a.host, "Address to listen on")->capture_default_str();
  app.add_option("--port", a.port, "Port to listen on; 0 takes any free one")
      ->capture_default_str();
  app.add_option("--admin-port", a.admin_port, "Probes and metrics without a key");
  app.add_option("--admin-host", a.admin_host, "Address of the admin port")->capture_default_str();
  app.add_option("--api-key-file", a.api_key_file,
                 "File with one accepted key, or its hash, a line");
  auto* certificate =
      app.add_option("--tls-cert", a.tls_certificate, "Serve HTTPS with this certificate chain");
  auto* key = app.add_option("--tls-key", a.tls_key, "The certificate's private key");
  certificate->needs(key);
  key->needs(certificate);
  app.add_option("--tls-client-ca", a.tls_client_ca, "Let in only clients with a certificate of it")
      ->needs(certificate);
  app.add_option("--access-log", a.access_log, "A line of JSON for each request; - is stderr");
  app.add_option("--allow-origin", a.cors_origins, "Web origin that may call; * is any")
      ->allow_extra_args(false);
  app.add_option("--drain-seconds", a.drain_seconds,
                 "How long running requests may take at the end")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  app.add_option(
         "--idle-exit-seconds", a.idle_exit_seconds,
         "End after so long without a request, where a service manager holds the socket and "
         "starts the server again; 0 is never")
      ->check(CLI::Range(0, 31'536'000))
      ->capture_default_str();
  app.add_option("--step-seconds", a.step_seconds, "A step that takes longer restarts the engine")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  declare_group(app, a);
  app.add_option("--set", a.settings, "Override a setting: key=value")->allow_extra_args(false);
  app.set_version_flag("--version", BUNDLE_VERSION);
}

std::string name_of(const std::string& path) {
  const Path absolute = std::filesystem::absolute(path).lexically_normal();
  const Path leaf =
      absolute.has_filename() ? absolute.filename() : absolute.parent_path().filename();
  const bool file = leaf.extension() == ".gguf";
  const std::string name = (file ? leaf.stem() : leaf).string();
  return name.empty() ? "model" : name;
}

Result<LaunchSpec> named_spec(const Arguments& arguments) {
  if (!arguments.launch_file.empty()) {
    BUNDLE_TRY(const Json document, read_json_file(arguments.launch_file));
    return LaunchSpec::from_json(document, arguments.launch_file);
  }
  LaunchSpec spec;
  BUNDLE_TRY(spec.model, format::ModelSource::open(arguments.model_path));
  spec.name = name_of(arguments.model_path);
  return spec;
}

}  // namespace

Result<CommandLine> parse_arguments(const std::vector<std::string>& words) {
  CommandLine line;
  CLI::App app("Serves a model over an OpenAI-compatible API", "bundle-server");
  declare(app, line.arguments);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    line.say = app.help();
  } catch (const CLI::CallForVersion&) {
    line.say = std::string("bundle-server ") + BUNDLE_VERSION + "\n";
  } catch (const CLI::ParseError& error) {
    return Error{ErrorCode::kUsage, error.what(), "", "See bundle-server --help."};
  }
  return line;
}

Result<LaunchSpec> launch_spec(const Arguments& arguments) {
  BUNDLE_TRY(LaunchSpec spec, named_spec(arguments));
  if (!arguments.name.empty()) spec.name = arguments.name;
  for (const std::string& setting : arguments.settings) {
    BUNDLE_CHECK(apply_setting(spec.runtime, setting));
  }
  return spec;
}

Result<std::vector<server::ApiKey>> read_api_keys(const std::string& path) {
  BUNDLE_TRY(const std::string text, read_file(path, kMostKeyFile));
  return server::parse_key_file(text, path);
}

}  // namespace bundle::launch
