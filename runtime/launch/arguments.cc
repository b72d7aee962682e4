#include "runtime/launch/arguments.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "runtime/launch/runtime_settings.h"

namespace bundle::launch {
namespace {

constexpr std::uint64_t kMostKeyFile = 1u << 20;

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
  app.add_option("--api-key-file", a.api_key_file, "File with one accepted key a line");
  app.add_option("--allow-origin", a.cors_origins, "Web origin that may call; * is any")
      ->allow_extra_args(false);
  app.add_option("--drain-seconds", a.drain_seconds,
                 "How long running requests may take at the end")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  app.add_option("--step-seconds", a.step_seconds, "A step that takes longer restarts the engine")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
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

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r";
  const auto first = line.find_first_not_of(kBlanks);
  if (first == line.npos) return {};
  return line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
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

Result<std::vector<std::string>> read_api_keys(const std::string& path) {
  BUNDLE_TRY(const std::string text, read_file(path, kMostKeyFile));
  std::vector<std::string> keys;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (const std::string_view key = trimmed(line); !key.empty()) keys.emplace_back(key);
  }
  if (keys.empty()) return bad_input("the key file holds no key", path, "Write one key a line.");
  return keys;
}

}  // namespace bundle::launch
