#include "runtime/launch/supervisor.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <optional>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <thread>
#include <unistd.h>

#include "base/log.h"
#include "runtime/launch/engine_process.h"
#include "runtime/launch/group.h"
#include "runtime/launch/runtime_settings.h"
#include "runtime/launch/served_model.h"
#include "runtime/launch/service_manager.h"
#include "runtime/launch/watched_files.h"
#include "runtime/server/http_server.h"
#include "runtime/server/member_engine.h"

namespace bundle::launch {
namespace {

constexpr auto kStallGrace = std::chrono::seconds(30);
constexpr std::size_t kOtherDescriptors = 256;
constexpr auto kLookAtFiles = std::chrono::milliseconds(2000);
constexpr auto kLookIdle = std::chrono::milliseconds(1000);
/// The first machine may take all of its time to drain, and hears its signal a little later.
constexpr auto kReleaseGrace = std::chrono::seconds(10);
constexpr auto kLookForRelease = std::chrono::milliseconds(50);

/// SIGTERM, SIGINT and SIGHUP as a descriptor.
Result<Fd> signal_descriptor() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Fd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return system_error("cannot wait for signals");
  return fd;
}

/// Shells allow few open files; a server needs one a connection.
void allow_descriptors(std::size_t connections) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = connections + kOtherDescriptors;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string url(const std::string& host, std::uint16_t port, bool tls = false) {
  const bool v6 = host.find(':') != std::string::npos;
  return std::string(tls ? "https://" : "http://") + (v6 ? "[" + host + "]" : host) + ":" +
         std::to_string(port);
}

server::TlsFiles tls_files(const Arguments& arguments) {
  return {arguments.tls_certificate, arguments.tls_key, arguments.tls_client_ca};
}

Result<server::ServerOptions> server_options(const Arguments& arguments,
                                             const ServerSettings& settings,
                                             const ServiceManager& manager) {
  server::ServerOptions options;
  options.limits = settings.limits;
  options.scaling = settings.scaling;
  options.webhook = settings.webhook;
  options.request_timeout = settings.request_timeout;
  options.otlp_endpoint = settings.otlp_endpoint;
  options.page = settings.page;
  options.access_log = arguments.access_log;
  options.tls = tls_files(arguments);
  options.socket = manager.socket("http");
  options.admin_socket = manager.socket("admin");
  options.host = arguments.host;
  options.port = arguments.port;
  options.admin_port = arguments.admin_port;
  options.admin_host = arguments.admin_host;
  options.cors_origins = arguments.cors_origins;
  options.drain_timeout = std::chrono::seconds(arguments.drain_seconds);
  // The engine that hangs is killed and started again first; only when that does not help…
  options.stall_timeout = std::chrono::seconds(arguments.step_seconds) + kStallGrace;
  options.version = BUNDLE_VERSION;
  if (arguments.idle_exit_seconds > 0 && !options.socket) {
    return Error{ErrorCode::kUsage, "nobody would start the server again", "--idle-exit-seconds",
                 "It needs a socket that the service manager holds, named 'http'."};
  }
  if (!arguments.api_key_file.empty()) {
    BUNDLE_TRY(options.api_keys, read_api_keys(arguments.api_key_file));
  }
  return options;
}

class Supervisor {
 public:
  Supervisor(const Arguments& arguments, LaunchSpec spec, RuntimeSettings settings, Group group)
      : arguments_(arguments),
        spec_(std::move(spec)),
        settings_(std::move(settings)),
        group_(std::move(group)),
        files_({arguments.api_key_file, arguments.tls_certificate, arguments.tls_key,
                arguments.tls_client_ca}) {}
  ~Supervisor();

  Status start(const Command& self);
  /// Until it is over.
  Status run(const Fd& signals);

 private:
  void load_model();
  Status load_access();
  void change() const { ::eventfd_write(change_.get(), 1); }
  Status look();
  void announce();
  void on_signal(int number);
  void fall_asleep();
  void drain();
  void await_release() const;
  void reload();
  void beat();
  void look_at_files();
  std::string public_url() const;
  std::string leader() const;
  std::shared_ptr<engine::EngineClient> served_engine() const;
  int nap() const;

  const Arguments& arguments_;
  LaunchSpec spec_;
  RuntimeSettings settings_;
  Group group_;
  Fd change_;  // an eventfd: something that look() sees has changed

  std::shared_ptr<EngineProcess> engine_;
  std::unique_ptr<server::HttpServer> server_;
  std::thread loader_;
  std::thread drainer_;

  std::mutex mutex_;
  std::optional<Status> loaded_;  // how loading the tokenizer and template ended
  std::atomic<bool> drained_ = false;
  ServiceManager manager_;
  WatchedFiles files_;
  std::string told_;  // the status that systemd heard last
  bool announced_ = false;
  bool draining_ = false;
};

Supervisor::~Supervisor() {
  if (server_) server_->stop();
  if (drainer_.joinable()) drainer_.join();
  if (loader_.joinable()) loader_.join();
  server_.reset();
  engine_.reset();
}

Status Supervisor::start(const Command& self) {
  change_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!change_) return system_error("cannot make an eventfd");
  BUNDLE_TRY(server::ServerOptions options, server_options(arguments_, settings_.server, manager_));
  allow_descriptors(options.limits.connections);
  EngineProcessOptions engine;
  engine.command = self;
  engine.spec = print_json(spec_.to_json());
  engine.ranks = static_cast<int>(settings_.parallel.ranks()) / group_.nodes;
  engine.first_rank = engine.ranks * group_.node_rank;
  BUNDLE_TRY(engine.group, group_document(group_, spec_, settings_));
  engine.step_limit = std::chrono::seconds(arguments_.step_seconds);
  engine.on_change = [this] { change(); };
  engine_ = EngineProcess::start(std::move(engine));
  BUNDLE_TRY(server_, server::HttpServer::start(std::move(options), served_engine()));
  log_info("loading " + spec_.name + ", listening on " + public_url());
  if (server_->admin_port() != 0) {
    log_info("probes and metrics on " + url(arguments_.admin_host, server_->admin_port()));
  }
  if (!group_.alone()) log_info(group_.name() + " of the group that meets at " + leader());
  if (group_.leads()) loader_ = std::thread([this] { load_model(); });
  return {};
}

/// Beside the engine, which loads the weights meanwhile.
void Supervisor::load_model() {
  auto model = load_served_model(spec_, settings_);
  const Status status = model ? Status() : Status(model.error());
  if (model) server_->set_model(std::move(*model));
  {
    const std::lock_guard lock(mutex_);
    loaded_ = status;
  }
  change();
}

Status Supervisor::run(const Fd& signals) {
  while (!drained_) {
    std::array<pollfd, 2> wanted{pollfd{signals.get(), POLLIN, 0}, {change_.get(), POLLIN, 0}};
    if (::poll(wanted.data(), wanted.size(), nap()) < 0 && errno != EINTR) {
      return system_error("cannot wait for events");
    }
    signalfd_siginfo info{};
    while (::read(signals.get(), &info, sizeof(info)) == sizeof(info)) {
      on_signal(static_cast<int>(info.ssi_signo));
    }
    eventfd_t ignored = 0;
    ::eventfd_read(change_.get(), &ignored);
    BUNDLE_CHECK(look());
    look_at_files();
    beat();
    fall_asleep();
  }
  return {};
}

/// Milliseconds until files or idleness are to be looked at or the service manager wants to hear
/// from us; -1: none ever.
int Supervisor::nap() const {
  auto next = manager_.heartbeat_interval();
  if (!files_.empty()) next = std::min(next.value_or(kLookAtFiles), kLookAtFiles);
  if (arguments_.idle_exit_seconds > 0) next = std::min(next.value_or(kLookIdle), kLookIdle);
  return next ? static_cast<int>(next->count()) : -1;
}

/// Also when a signal or an event woke us earlier: looking is cheap.
void Supervisor::look_at_files() {
  if (files_.changed()) reload();
}

std::string Supervisor::public_url() const {
  return url(arguments_.host, server_->port(), !arguments_.tls_certificate.empty());
}

/// The engine, where this machine takes requests.
std::shared_ptr<engine::EngineClient> Supervisor::served_engine() const {
  if (group_.leads()) return engine_;
  return std::make_shared<server::MemberEngine>(
      engine_,
      "This is " + group_.name() + " of a group: ask the first one, " + group_.leader_host + ".");
}

std::string Supervisor::leader() const {
  return group_.leader_host + " port " + std::to_string(group_.leader_port);
}

/// A server that makes no progress falls silent, so that systemd restarts it.
void Supervisor::beat() {
  const server::HttpServer::State state = server_->state();
  if (state.alive) manager_.heartbeat();
  if (announced_ && state.word != std::exchange(told_, state.word)) manager_.status(state.word);
}

/// Reports what has changed; an error ends the server.
Status Supervisor::look() {
  if (auto failure = engine_->failure()) return *std::move(failure);
  if (engine_->released() && !draining_) {
    log_info("the first machine has ended the group");
    drain();
  }
  bool model_is_set = !group_.leads();  // it needs none
  {
    const std::lock_guard lock(mutex_);
    if (loaded_) BUNDLE_CHECK(*loaded_);
    model_is_set |= loaded_.has_value();
  }
  if (model_is_set && engine_->ready() && !draining_) announce();
  return {};
}

void Supervisor::announce() {
  if (std::exchange(announced_, true)) return;
  const std::string line = "ready " + public_url() + "\n";
  std::fputs(line.c_str(), stderr);
  manager_.ready(told_ = "ready");
}

void Supervisor::on_signal(int number) {
  // A terminal that closes sends it too, and then nobody is there to serve for.
  if (number == SIGHUP && ::isatty(STDERR_FILENO) == 0) return reload();
  drain();
}

/// What was read from files is read again; a mistake in them changes nothing.
void Supervisor::reload() {
  manager_.reloading();
  if (const Status status = load_access(); status) {
    log_info("keys and certificates were read again");
  } else {
    log_error("nothing was reloaded: " + status.error().message());
  }
  if (announced_) manager_.ready(told_);
}

Status Supervisor::load_access() {
  std::vector<server::ApiKey> keys;
  if (!arguments_.api_key_file.empty()) {
    BUNDLE_TRY(keys, read_api_keys(arguments_.api_key_file));
  }
  BUNDLE_CHECK(server_->set_tls(tls_files(arguments_)));
  server_->set_api_keys(std::move(keys));
  return {};
}

/// After long enough without a request it ends; who holds the socket starts it at the next one.
void Supervisor::fall_asleep() {
  const std::chrono::seconds idle(arguments_.idle_exit_seconds);
  if (idle.count() == 0 || !announced_ || draining_ || !server_->close_if_idle(idle)) return;
  log_info("no request for " + std::to_string(idle.count()) + " s: the next connection starts it");
  drain();
}

/// Signals often reach all machines of a group at once: the ranks here go on until the first
/// machine has answered what it had begun, and lets them go.
void Supervisor::await_release() const {
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::seconds(arguments_.drain_seconds) + kReleaseGrace;
  while (engine_->ready() && !engine_->released() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kLookForRelease);
  }
}

void Supervisor::drain() {
  if (draining_) std::_Exit(static_cast<int>(ErrorCode::kInterrupted));
  draining_ = true;
  log_info("draining: no new requests, and " + std::to_string(arguments_.drain_seconds) +
           " s for those that run; a second signal ends at once");
  server_->begin_drain();
  manager_.stopping();
  drainer_ = std::thread([this] {
    const bool all_finished = server_->wait();
    if (!group_.leads()) await_release();
    log_info(all_finished ? "drained" : "drained; some requests were cut short");
    drained_ = true;
    change();
  });
}

}  // namespace

Status supervise(const Arguments& arguments, const Command& self) {
  BUNDLE_TRY(const Fd signals, signal_descriptor());
  BUNDLE_TRY(LaunchSpec spec, launch_spec(arguments));
  const std::string where = arguments.launch_file.empty() ? "--set" : arguments.launch_file;
  BUNDLE_TRY(RuntimeSettings settings, read_runtime_settings(spec.runtime, where));
  BUNDLE_TRY(Group group, read_group(arguments));
  Supervisor supervisor(arguments, std::move(spec), std::move(settings), std::move(group));
  BUNDLE_CHECK(supervisor.start(self));
  return supervisor.run(signals);
}

}  // namespace bundle::launch
