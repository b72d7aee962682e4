// bundle gateway: one address before many replicas.
#include "runtime/gateway/gateway.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>

#include "base/command.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/deployment_place.h"
#include "cli/deployment_watch.h"
#include "cli/interrupt.h"

namespace bundle::cli {
namespace {

constexpr std::uint64_t kMostListBytes = 1u << 20;

struct GatewayArguments {
  gateway::GatewayOptions options;
  std::vector<std::string> backends;
  std::string endpoints;
  std::string deployment;
  PlaceArguments place;
  std::string wake;
  int port = 8080;
  int picker_port = -1;  // none
  int hold = 600;
  int startup = 60;
  int drain = 30;
};

/// Lines of a file, or of every file of a folder (as Slurm's replicas write them).
Result<std::string> read_list(const Path& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return read_file(path, kMostListBytes);
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    if (entry.path().filename().string().starts_with("endpoint-")) files.push_back(entry.path());
  }
  if (error) return failed("cannot list the folder: " + error.message(), path.string());
  std::sort(files.begin(), files.end());
  std::string all;
  for (const Path& file : files) {
    const auto text = read_file(file, kMostListBytes);
    if (text) all += *text;  // else a replica has just taken its own away
  }
  return all;
}

/// The replicas that a list names, whoever writes it while we read. One that cannot be read, or
/// holds no replica but other things, changes nothing; each complaint is printed once.
class EndpointList {
 public:
  EndpointList(std::string path, std::vector<gateway::Backend> fixed)
      : path_(std::move(path)), seen_(std::move(fixed)), fixed_(seen_) {}

  std::vector<gateway::Backend> look() {
    const auto text = read_list(path_);
    std::string complaint = text ? "" : text.error().message();
    std::vector<gateway::Backend> found = fixed_;
    if (text) complaint = parse(*text, found);
    if (!complaint.empty() && complaint != complaint_) {
      std::fprintf(stderr, "%s: %s\n", path_.c_str(), complaint.c_str());
    }
    complaint_ = complaint;
    if (complaint.empty() || found.size() > fixed_.size()) seen_ = std::move(found);
    return seen_;
  }

 private:
  /// Adds the replicas; says which line is none.
  static std::string parse(const std::string& text, std::vector<gateway::Backend>& found) {
    std::string complaint;
    int number = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string line = text.substr(at, end - at);
      at = end + 1;
      ++number;
      if (line.empty() || line[0] == '#') continue;
      auto backend = gateway::parse_backend(line);
      if (!backend && complaint.empty()) {
        complaint = "line " + std::to_string(number) + ": " +
                    replace_invalid_utf8(backend.error().what.substr(0, 200));
      }
      if (backend) found.push_back(*std::move(backend));
    }
    return complaint;
  }

  std::string path_;
  std::vector<gateway::Backend> seen_;
  std::vector<gateway::Backend> fixed_;
  std::string complaint_;
};

/// Replicas and weights are what the deployment's target says, now and later.
Status watch_deployment(GatewayArguments& arguments) {
  BUNDLE_TRY(const cloud::Place place, find_place(arguments.deployment, arguments.place));
  BUNDLE_TRY(auto provider, open_provider(place));
  BUNDLE_TRY(std::shared_ptr<DeploymentWatch> watch,
             DeploymentWatch::start(std::move(provider), arguments.deployment,
                                    watch_interval(place.target)));
  arguments.options.backends = watch->backends();
  arguments.options.discover = [watch] { return watch->backends(); };
  return {};
}

Status prepare(GatewayArguments& arguments) {
  gateway::GatewayOptions& options = arguments.options;
  for (const std::string& text : arguments.backends) {
    BUNDLE_TRY(gateway::Backend backend, gateway::parse_backend(text));
    options.backends.push_back(std::move(backend));
  }
  if (!arguments.deployment.empty()) {
    BUNDLE_CHECK(watch_deployment(arguments));
  } else if (options.backends.empty() && arguments.endpoints.empty()) {
    return Error{ErrorCode::kUsage, "no replica is named", "",
                 "Name a --deployment, some with --backend, or a list of them with --endpoints."};
  }
  if (!arguments.endpoints.empty()) {
    BUNDLE_CHECK(read_list(arguments.endpoints));
    auto list = std::make_shared<EndpointList>(arguments.endpoints, options.backends);
    options.discover = [list] { return list->look(); };
  }
  if (!arguments.wake.empty()) {
    // Beside the gateway's own thread, which must go on answering.
    options.wake = [command = arguments.wake] {
      std::thread([command] { (void)run_command({.argv = {"sh", "-c", command}}); }).detach();
    };
  }
  options.port = static_cast<std::uint16_t>(arguments.port);
  if (arguments.picker_port >= 0) {
    options.picker_port = static_cast<std::uint16_t>(arguments.picker_port);
  }
  options.hold = std::chrono::seconds(arguments.hold);
  options.startup = std::chrono::seconds(arguments.startup);
  options.drain = std::chrono::seconds(arguments.drain);
  return {};
}

Result<Outcome> serve_gateway(GatewayArguments arguments) {
  BUNDLE_CHECK(prepare(arguments));
  const std::string host = arguments.options.host;
  BUNDLE_TRY(const auto server, gateway::Gateway::start(std::move(arguments.options)));
  std::fprintf(stderr, "ready http://%s:%u\n", host.c_str(), server->port());
  if (server->picker_port() != 0) {
    std::fprintf(stderr, "picks endpoints at %s:%u (gRPC)\n", host.c_str(), server->picker_port());
  }
  while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  server->begin_drain();
  server->wait();
  return Outcome{JsonObject{{"stopped", true}}, ""};
}

void add_replica_options(CLI::App& command, GatewayArguments& arguments) {
  CLI::Option* backends =
      command.add_option("--backend", arguments.backends, "A replica, and its weight after '='")
          ->type_name("URL[=WEIGHT]")
          ->allow_extra_args(false);
  CLI::Option* endpoints =
      command.add_option("--endpoints", arguments.endpoints,
                         "File of replicas, one a line, or Slurm's folder of a deployment; read "
                         "anew each second");
  command
      .add_option("--deployment", arguments.deployment,
                  "The replicas of a deployment and of its canary, with their weights; changes "
                  "are followed")
      ->type_name("NAME")
      ->excludes(backends)
      ->excludes(endpoints);
  add_place_options(command, arguments.place);
}

}  // namespace

void add_gateway(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<GatewayArguments>();
  CLI::App* command = add_command(
      app, "gateway", "One address before many replicas; holds requests while one starts",
      "Requests go to the replica that has their prefix cached, unless it is busy; weights split\n"
      "traffic for canaries. A request that finds no replica is held, and a stream is told how "
      "far\n"
      "the start is. Another replica is tried only when no byte of an answer was sent.\n\n"
      "Examples:\n"
      "  bundle gateway --deployment prod --port 80\n"
      "  bundle gateway --backend http://node1:8000 --backend http://node2:8000\n"
      "  bundle gateway --backend http://old:8000=9 --backend http://new:8000=1\n"
      "  bundle gateway --endpoints /shared/bundle/deployments/r1 --port 80\n"
      "  bundle gateway --deployment prod --target kubernetes --host 0.0.0.0 --picker-port 9002\n"
      "  bundle gateway --backend http://127.0.0.1:8000 --wake 'bundle deploy -f prod.yaml --yes'");
  command->add_option("--host", arguments->options.host, "Address to listen on")
      ->capture_default_str();
  command->add_option("--port", arguments->port, "Port to listen on; 0 takes any free one")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  command
      ->add_option("--picker-port", arguments->picker_port,
                   "Also pick endpoints for Envoy, by Gateway API's inference extension, at this "
                   "port; 0 takes any free one")
      ->type_name("PORT")
      ->check(CLI::Range(0, 65535));
  command
      ->add_option("--picker-endpoints", arguments->options.picker_endpoints,
                   "How many replicas the picker names for a request, in the order to try them; "
                   "Envoy's policy override_host takes several")
      ->capture_default_str()
      ->check(CLI::Range(1, 8));
  add_replica_options(*command, *arguments);
  command->add_option("--wake", arguments->wake,
                      "Shell command that starts a replica when a request finds none");
  command->add_option("--hold-seconds", arguments->hold, "How long a request may wait")
      ->capture_default_str()
      ->check(CLI::Range(0, 86400));
  command->add_option("--held", arguments->options.held_requests, "How many may wait at once")
      ->capture_default_str();
  command
      ->add_option("--startup-seconds", arguments->startup,
                   "How long a replica takes to start: what Retry-After says")
      ->capture_default_str()
      ->check(CLI::Range(1, 86400));
  command
      ->add_option("--drain-seconds", arguments->drain,
                   "How long running requests may take after SIGTERM")
      ->capture_default_str()
      ->check(CLI::Range(0, 86400));
  on_run(command, session, [arguments] { return serve_gateway(*arguments); });
}

}  // namespace bundle::cli
