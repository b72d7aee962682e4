#include "cloud/local/local_provider.h"

#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <csignal>
#include <ctime>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

#include "base/http_client.h"
#include "cloud/local/deployment_state.h"
#include "cloud/local/server_log.h"
#include "cloud/server_options.h"
#include "cloud/status.h"

namespace bundle::cloud {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kKeptRevisions = 10;
constexpr std::uint16_t kFirstPort = 8000;
constexpr seconds kKillAfter{10};  // beyond the drain's own limit

std::string url_of(const DeploymentSpec& spec, std::uint16_t port) {
  const std::string& host = spec.host;
  const bool any = host == "0.0.0.0" || host == "::";
  const std::string name = any                                   ? "127.0.0.1"
                           : host.find(':') != std::string::npos ? "[" + host + "]"
                                                                 : host;
  return scheme_of(spec) + "://" + name + ":" + std::to_string(port);
}

/// Where readiness is asked: with TLS on the admin port, since a probe has no certificate to show
/// and need not know who signed the server's.
std::string probe_url(const DeploymentSpec& spec, std::uint16_t port) {
  if (!spec.tls.on()) return url_of(spec, port);
  return "http://127.0.0.1:" + std::to_string(spec.admin_port);
}

bool port_is_free(std::uint16_t port) {
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  return ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

/// A port that nobody listens on and no other deployment has.
Result<std::uint16_t> pick_port() {
  std::vector<std::uint16_t> taken;
  for (const std::string& name : deployment_names()) {
    if (const auto state = load_state(name); state && state->process) {
      taken.push_back(state->process->port);
    }
  }
  for (std::uint16_t port = kFirstPort; port < kFirstPort + 1000; ++port) {
    const bool known = std::find(taken.begin(), taken.end(), port) != taken.end();
    if (!known && port_is_free(port)) return port;
  }
  return failed("no free port between 8000 and 8999", "", "Name one with --port.");
}

bool is_up(const DeploymentState& state) {
  return state.process && is_running(state.process->identity);
}

std::vector<std::string> command_line(const DeploymentSpec& spec, const Path& launch,
                                      std::uint16_t port) {
  std::vector<std::string> argv = spec.server;
  for (const std::string& argument :
       {std::string("--launch"), launch.string(), std::string("--host"), spec.host,
        std::string("--port"), std::to_string(port)}) {
    argv.push_back(argument);
  }
  for (std::string& word : server_options(spec, {spec.api_key_file, spec.tls}, spec.admin_port)) {
    argv.push_back(std::move(word));
  }
  return argv;
}

/// GET /ready: 200 means yes; the body says why not.
struct Readiness {
  bool answers = false;
  bool ready = false;
  std::string message;
};

Readiness ask_ready(const std::string& url) {
  const auto response = http_request(
      {.url = url + "/ready", .connect_timeout = milliseconds(500), .timeout = seconds(2)});
  if (!response) return {false, false, "the server does not answer"};
  if (response->status == 200) return {true, true, ""};
  return {true, false, response->body.substr(0, 300)};
}

/// Variables and the values of secrets, which are read anew at each start and kept nowhere.
Result<TextPairs> environment_of(const DeploymentSpec& spec) {
  TextPairs all = spec.environment;
  for (const auto& [name, file] : spec.secrets) {
    BUNDLE_TRY(std::string value, read_file(file, 1u << 20));
    while (!value.empty() && value.back() == '\n') value.pop_back();
    all.emplace_back(name, std::move(value));
  }
  return all;
}

/// What can fail before a server that runs is stopped.
Status prepare_server(const DeploymentFolder& folder, const Revision& revision) {
  const Path launch = folder.launch(revision.number);
  BUNDLE_CHECK(environment_of(revision.spec));
  return write_file_atomic(launch, pretty_json(revision.spec.launch));
}

Status start_server(const DeploymentFolder& folder, const Revision& revision, std::uint16_t port,
                    DeploymentState& state) {
  const Path launch = folder.launch(revision.number);
  rotate_log(folder.log(), folder.old_log());
  BUNDLE_TRY(const TextPairs environment, environment_of(revision.spec));
  BUNDLE_TRY(const pid_t pid, spawn({.argv = command_line(revision.spec, launch, port),
                                     .environment = environment,
                                     .output = folder.log(),
                                     .detached = true}));
  const auto identity = identify_process(pid);
  state.process =
      ServerProcess{identity.value_or(ProcessIdentity{pid, 0}), port, std::time(nullptr)};
  return {};
}

/// Whether the server said that it listens: on a port that another one has, /ready is that one's.
/// `from`: bytes of the log that are of servers before it.
bool has_begun(const DeploymentFolder& folder, std::uint64_t from) {
  const auto text = read_file(folder.log());
  if (!text) return true;
  return text->find("ready http", from < text->size() ? from : 0) != std::string::npos;
}

std::uint64_t log_size(const DeploymentFolder& folder) {
  std::error_code none;
  const std::uintmax_t size = std::filesystem::file_size(folder.log(), none);
  return none ? 0 : size;
}

/// Shows what `progress` shows, and does not stop.
Progress shown_only(const Progress& progress) {
  if (!progress) return {};
  return [&progress](std::string_view stage, std::uint64_t done, std::uint64_t total) {
    (void)progress(stage, done, total);
    return true;
  };
}

/// Waits until the server answers /ready with 200. kFailed with the end of its log when it ends
/// before that.
Status wait_ready(const DeploymentFolder& folder, const DeploymentState& state,
                  const Progress& progress, std::uint64_t from = 0) {
  const std::string url = probe_url(state.current().spec, state.process->port);
  for (;;) {
    if (ask_ready(url).ready && has_begun(folder, from)) return {};
    if (!wait_gone(state.process->identity, milliseconds(20))) {
      if (progress && !progress("waiting for " + url, 0, 0)) {
        return Error{ErrorCode::kInterrupted, "stopped while the server was starting", url};
      }
      continue;
    }
    return failed("the server ended before it was ready", folder.log().string(),
                  "It printed:\n" + lines_since(folder.log(), from, 12));
  }
}

/// SIGTERM, and SIGKILL when it outlives its drain limit by far. Waits for the end.
Status stop_server(const DeploymentState& state, const Progress& progress) {
  if (!is_up(state)) return {};
  const ProcessIdentity process = state.process->identity;
  if (auto sent = signal_process(process, SIGTERM); !sent && is_running(process)) return sent;
  const auto deadline =
      std::chrono::steady_clock::now() + seconds(state.current().spec.drain_seconds) + kKillAfter;
  while (!wait_gone(process, milliseconds(100))) {
    if (progress && !progress("draining", 0, 0)) {
      return Error{ErrorCode::kInterrupted, "stopped while the server was draining"};
    }
    if (std::chrono::steady_clock::now() < deadline) continue;
    (void)signal_process(process, SIGKILL);
    wait_gone(process, seconds(5));
    break;
  }
  return {};
}

void forget_old_revisions(const DeploymentFolder& folder, DeploymentState& state) {
  std::error_code ignored;
  while (state.revisions.size() > kKeptRevisions) {
    std::filesystem::remove(folder.launch(state.revisions.front().number), ignored);
    state.revisions.erase(state.revisions.begin());
  }
}

/// Whether next_port() has to look for a free one.
bool chooses_port(const DeploymentSpec& spec, const DeploymentState* before) {
  return spec.port == 0 && (before == nullptr || !before->process);
}

/// The port that the next server of a deployment listens on: asked for, else kept, else free.
Result<std::uint16_t> next_port(const DeploymentSpec& spec, const DeploymentState* before) {
  if (spec.port != 0) return spec.port;
  if (before != nullptr && before->process) return before->process->port;
  return pick_port();
}

class LocalProvider final : public Provider {
 public:
  std::string_view name() const override { return "local"; }

  Result<std::vector<RenderedFile>> render(const DeploymentSpec&) const override {
    return Error{ErrorCode::kUsage, "the target 'local' has no files to render", "",
                 "It starts a process; --plan says how."};
  }

  Result<DeploymentPlan> plan(const DeploymentSpec& spec) const override {
    BUNDLE_CHECK(check_local(spec));
    const auto before = load_state(spec.name);
    if (!before && before.error().code != ErrorCode::kNotFound) return before.error();
    DeploymentPlan plan;
    plan.deployment = spec.name;
    plan.revision = 1;
    plan.changes = true;
    if (!before) {
      plan.steps = {"start " + spec.bundle + " as a process on this machine"};
      return plan;
    }
    const bool same = before->current().spec.to_json() == spec.to_json();
    const bool keeps = same_server(before->current().spec, spec) && is_up(*before);
    plan.revision = before->current().number + (same ? 0 : 1);
    plan.changes = !same || !is_up(*before);
    plan.differences = differences(before->current().spec.to_json(), spec.to_json());
    if (!plan.changes) {
      plan.steps = {"nothing: revision " + std::to_string(plan.revision) +
                    " runs with these settings"};
    } else if (same) {
      plan.steps = {"start revision " + std::to_string(plan.revision) +
                    " again: it is not running"};
    } else if (keeps) {
      plan.steps = {"keep the server as it is"};
    } else {
      plan.steps = {"drain revision " + std::to_string(before->current().number),
                    "start " + spec.bundle + " as revision " + std::to_string(plan.revision)};
    }
    return plan;
  }

  Result<DeploymentStatus> apply(const DeploymentSpec& spec, const Progress& progress) override {
    BUNDLE_CHECK(check_local(spec));
    BUNDLE_TRY(const Fd lock, lock_deployment(spec.name));
    auto done = apply_locked(spec, progress);
    if (!done && !load_state(spec.name)) remove_lock(spec.name, lock);
    return done;
  }

  Result<DeploymentStatus> status(std::string_view deployment) const override {
    BUNDLE_TRY(const DeploymentState state, load_state(deployment));
    return describe(deployment, state);
  }

  Result<DeploymentSpec> specification(std::string_view deployment,
                                       std::int64_t revision) const override {
    BUNDLE_TRY(const DeploymentState state, load_state(deployment));
    if (revision == 0) return state.current().spec;
    return earlier_spec(state, revision);
  }

  Result<std::vector<DeploymentStatus>> list() const override {
    std::vector<DeploymentStatus> all;
    for (const std::string& name : deployment_names()) {
      const auto one = status(name);
      DeploymentStatus broken;
      broken.name = name;
      broken.target = "local";
      broken.state = "unknown";
      if (!one) broken.message = one.error().message();
      all.push_back(one ? *one : broken);
    }
    return all;
  }

  Status logs(std::string_view deployment, const LogOptions& options,
              const std::function<bool(std::string_view)>& sink) const override {
    BUNDLE_CHECK(load_state(deployment));
    return read_log(DeploymentFolder(deployment).log(), options, sink);
  }

  Result<DeploymentStatus> rollback(std::string_view deployment, std::int64_t revision,
                                    const Progress& progress) override {
    BUNDLE_TRY(const Fd lock, lock_known(deployment));
    BUNDLE_TRY(const DeploymentState state, load_state(deployment));
    BUNDLE_TRY(const DeploymentSpec spec, earlier_spec(state, revision));
    return apply_locked(spec, progress);
  }

  Status remove(std::string_view deployment, const Progress& progress) override {
    BUNDLE_TRY(const Fd lock, lock_known(deployment));
    BUNDLE_TRY(const DeploymentState state, load_state(deployment));
    BUNDLE_CHECK(stop_server(state, progress));
    std::error_code error;
    std::filesystem::remove_all(DeploymentFolder(deployment).path, error);
    if (error) return failed("cannot remove the deployment's files: " + error.message());
    remove_lock(deployment, lock);
    return {};
  }

  Status check_canary() const override { return {}; }

  Result<std::vector<std::string>> endpoints(std::string_view deployment) const override {
    BUNDLE_TRY(const DeploymentState state, load_state(deployment));
    if (!state.process) return std::vector<std::string>();
    return std::vector<std::string>{url_of(state.current().spec, state.process->port)};
  }

  /// A first Ctrl-C is heard once the new server is on its way: the endpoint is never left without
  /// one. The second still ends the program at once.
  Result<DeploymentStatus> restart(std::string_view deployment, const Progress& progress) override {
    BUNDLE_TRY(const Fd lock, lock_known(deployment));
    BUNDLE_TRY(DeploymentState state, load_state(deployment));
    const DeploymentFolder folder(deployment);
    BUNDLE_TRY(const std::uint16_t port, next_port(state.current().spec, &state));
    BUNDLE_CHECK(prepare_server(folder, state.current()));
    BUNDLE_CHECK(stop_server(state, shown_only(progress)));
    const std::uint64_t logged = log_size(folder);
    BUNDLE_CHECK(start_server(folder, state.current(), port, state));
    BUNDLE_CHECK(save_state(deployment, state));
    BUNDLE_CHECK(wait_ready(folder, state, progress, logged));
    return describe(deployment, state);
  }

 private:
  /// No lock is made for what does not exist.
  static Result<Fd> lock_known(std::string_view deployment) {
    BUNDLE_CHECK(load_state(deployment));
    return lock_deployment(deployment);
  }

  static Status check_local(const DeploymentSpec& spec) {
    BUNDLE_CHECK(check(spec));
    if (spec.tls.on() && spec.admin_port == 0) {
      return bad_input("with TLS nothing could tell when the server is ready", "admin_port",
                       "Set it: probes ask there, on loopback, without a certificate.");
    }
    if (spec.scaling.max_replicas == 1 && spec.scaling.min_replicas == 1) return {};
    return bad_input("the target 'local' runs one replica", "",
                     "Set replicas to 1, or name another target.");
  }

  static Result<DeploymentSpec> earlier_spec(const DeploymentState& state, std::int64_t revision) {
    if (revision == 0 && state.revisions.size() >= 2) {
      return state.revisions[state.revisions.size() - 2].spec;
    }
    for (const Revision& known : state.revisions) {
      if (known.number == revision) return known.spec;
    }
    return not_found(revision == 0 ? "there is no earlier revision"
                                   : "there is no revision " + std::to_string(revision),
                     state.current().spec.name, "'bundle status' lists the revisions.");
  }

  static Result<DeploymentStatus> apply_locked(const DeploymentSpec& spec,
                                               const Progress& progress) {
    const DeploymentFolder folder(spec.name);
    BUNDLE_CHECK(make_directories(folder.path));
    auto before = load_state(spec.name);
    if (!before && before.error().code != ErrorCode::kNotFound) return before.error();
    const bool same = before && before->current().spec.to_json() == spec.to_json();
    if (same && is_up(*before)) return take_running(folder, *std::move(before), progress);
    if (before && is_up(*before) && same_server(before->current().spec, spec)) {
      return keep_server(folder, *std::move(before), spec);
    }
    DeploymentState state = before ? *before : DeploymentState{};
    if (!same) {
      const std::int64_t number = before ? before->current().number + 1 : 1;
      state.revisions.push_back({number, std::time(nullptr), spec});
    }
    Status started = replace(folder, before ? &*before : nullptr, state, progress);
    if (!started && same) return started.error();  // what ran was gone before
    if (!started) return recover(folder, before ? &*before : nullptr, started.error(), progress);
    forget_old_revisions(folder, state);
    state.pending = false;
    BUNDLE_CHECK(save_state(spec.name, state));
    return describe(spec.name, state);
  }

  /// The server of before goes, and that of the newest revision comes. What is written first is
  /// most of what needs the disk, so that a full one leaves the old server alone; and a mark, so
  /// that an end in the middle shows. A first Ctrl-C is heard once the new server is on its way.
  static Status replace(const DeploymentFolder& folder, DeploymentState* before,
                        DeploymentState& state, const Progress& progress) {
    BUNDLE_CHECK(prepare_server(folder, state.current()));
    std::optional<Fd> ports;
    if (chooses_port(state.current().spec, before)) {
      BUNDLE_TRY(ports, lock_ports());
    }
    BUNDLE_TRY(const std::uint16_t port, next_port(state.current().spec, before));
    if (before != nullptr) {
      before->pending = true;
      BUNDLE_CHECK(save_state(before->current().spec.name, *before));
      BUNDLE_CHECK(stop_server(*before, shown_only(progress)));
    }
    state.pending = true;
    const std::uint64_t logged = log_size(folder);
    BUNDLE_CHECK(launch(folder, port, state));
    ports.reset();
    Status ready = wait_ready(folder, state, progress, logged);
    if (!ready) (void)stop_server(state, {});
    return ready;
  }

  /// The same again, whose server runs.
  static Result<DeploymentStatus> take_running(const DeploymentFolder& folder,
                                               DeploymentState state, const Progress& progress) {
    BUNDLE_CHECK(wait_ready(folder, state, progress));
    if (state.pending) {
      state.pending = false;
      BUNDLE_CHECK(save_state(state.current().spec.name, state));
    }
    return describe(state.current().spec.name, state);
  }

  /// A revision that says something else of the same server.
  static Result<DeploymentStatus> keep_server(const DeploymentFolder& folder, DeploymentState state,
                                              const DeploymentSpec& spec) {
    state.revisions.push_back({state.current().number + 1, std::time(nullptr), spec});
    forget_old_revisions(folder, state);
    BUNDLE_CHECK(save_state(spec.name, state));
    return describe(spec.name, state);
  }

  /// Starts the newest revision's server, and saves the state as soon as the process exists, so
  /// that no server is ever unknown.
  static Status launch(const DeploymentFolder& folder, std::uint16_t port, DeploymentState& state) {
    BUNDLE_CHECK(start_server(folder, state.current(), port, state));
    const Status saved = save_state(state.current().spec.name, state);
    if (!saved) (void)stop_server(state, {});
    return saved;
  }

  /// After a failed start: the state before, running again if it did. Gives the error, with what
  /// runs now.
  static Error recover(const DeploymentFolder& folder, DeploymentState* before, Error error,
                       const Progress& progress) {
    const std::string add = error.remedy.empty() ? "" : "\n";
    if (before == nullptr) {
      std::error_code ignored;
      std::filesystem::remove_all(folder.path, ignored);
      if (error.where.starts_with(folder.path.string())) error.where.clear();
      error.remedy += add + "Nothing is left of it.";
      return error;
    }
    const std::string revision = "revision " + std::to_string(before->current().number);
    if (is_up(*before)) {
      before->pending = false;
      (void)save_state(before->current().spec.name, *before);
      error.remedy += add + "Nothing was touched: " + revision + " runs.";
      return error;
    }
    if (!before->process) return error;
    before->pending = false;
    const std::uint64_t logged = log_size(folder);
    Status again = launch(folder, before->process->port, *before);
    if (again) again = wait_ready(folder, *before, shown_only(progress), logged);
    error.remedy += again ? add + "R" + revision.substr(1) + " runs again."
                          : add + "R" + revision.substr(1) +
                                " could not be started again: " + again.error().message() +
                                "\n'bundle deploy' starts it.";
    return error;
  }

  static DeploymentStatus describe(std::string_view deployment, const DeploymentState& state) {
    const DeploymentSpec& spec = state.current().spec;
    DeploymentStatus status;
    status.name = deployment;
    status.target = spec.target;
    status.bundle = spec.bundle;
    status.digest = spec.digest;
    status.revision = state.current().number;
    tell_role(spec, status);
    for (const Revision& revision : state.revisions) status.revisions.push_back(revision.number);
    if (const Json* name = spec.launch.if_contains("name"); name != nullptr && name->is_string()) {
      status.model = std::string(name->get_string());
    }
    if (!is_up(state)) {
      status.state = "stopped";
      status.message = state.pending ? cut_off(status.name)
                                     : "the server is not running; 'bundle deploy' starts it again";
      return status;
    }
    status.url = url_of(spec, state.process->port);
    status.pid = state.process->identity.pid;
    status.uptime_seconds = std::time(nullptr) - state.process->started;
    const Readiness now = ask_ready(probe_url(spec, state.process->port));
    status.ready = now.ready;
    status.message = state.pending ? cut_off(status.name) : now.message;
    status.state = now.ready ? "running" : "starting";
    return status;
  }

  static std::string cut_off(const std::string& name) {
    return "a change was not applied to its end; run 'bundle deploy' again, or 'bundle rollback " +
           name + "'";
  }
};

}  // namespace

std::unique_ptr<Provider> make_local_provider() { return std::make_unique<LocalProvider>(); }

}  // namespace bundle::cloud
