#include "runtime/launch/supervisor.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <optional>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <thread>
#include <unistd.h>

#include "base/log.h"
#include "runtime/launch/engine_process.h"
#include "runtime/launch/runtime_settings.h"
#include "runtime/launch/served_model.h"
#include "runtime/server/http_server.h"

namespace bundle::launch {
namespace {

/// SIGTERM and SIGINT as a descriptor.
Result<Fd> signal_descriptor() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Fd fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return system_error("cannot wait for signals");
  return fd;
}

std::string url(const std::string& host, std::uint16_t port) {
  const bool v6 = host.find(':') != std::string::npos;
  return "http://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<server::ServerOptions> server_options(const Arguments& arguments) {
  server::ServerOptions options;
  options.host = arguments.host;
  options.port = arguments.port;
  options.admin_port = arguments.admin_port;
  options.admin_host = arguments.admin_host;
  options.cors_origins = arguments.cors_origins;
  options.drain_timeout = std::chrono::seconds(arguments.drain_seconds);
  options.stall_timeout = std::chrono::seconds(arguments.step_seconds);
  options.version = BUNDLE_VERSION;
  if (!arguments.api_key_file.empty()) {
    BUNDLE_TRY(options.api_keys, read_api_keys(arguments.api_key_file));
  }
  return options;
}

class Supervisor {
 public:
  Supervisor(const Arguments& arguments, LaunchSpec spec, RuntimeSettings settings)
      : arguments_(arguments), spec_(std::move(spec)), settings_(std::move(settings)) {}
  ~Supervisor();

  Status start(const Command& self);
  /// Until it is over.
  Status run(const Fd& signals);

 private:
  void load_model();
  void change() const { ::eventfd_write(change_.get(), 1); }
  Status look();
  void announce();
  void on_signal();

  const Arguments& arguments_;
  LaunchSpec spec_;
  RuntimeSettings settings_;
  Fd change_;  // an eventfd: something that look() sees has changed

  std::shared_ptr<EngineProcess> engine_;
  std::unique_ptr<server::HttpServer> server_;
  std::thread loader_;
  std::thread drainer_;

  std::mutex mutex_;
  std::optional<Status> loaded_;  // how loading the tokenizer and template ended
  std::atomic<bool> drained_ = false;
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
  BUNDLE_TRY(server::ServerOptions options, server_options(arguments_));
  EngineProcessOptions engine;
  engine.command = self;
  engine.spec = print_json(spec_.to_json());
  engine.step_limit = std::chrono::seconds(arguments_.step_seconds);
  engine.on_change = [this] { change(); };
  engine_ = EngineProcess::start(std::move(engine));
  BUNDLE_TRY(server_, server::HttpServer::start(std::move(options), engine_));
  log_info("loading " + spec_.name + ", listening on " + url(arguments_.host, server_->port()));
  if (arguments_.admin_port) {
    log_info("probes and metrics on " + url(arguments_.admin_host, server_->admin_port()));
  }
  loader_ = std::thread([this] { load_model(); });
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
    if (::poll(wanted.data(), wanted.size(), -1) < 0 && errno != EINTR) {
      return system_error("cannot wait for events");
    }
    signalfd_siginfo info{};
    while (::read(signals.get(), &info, sizeof(info)) == sizeof(info)) on_signal();
    eventfd_t ignored = 0;
    ::eventfd_read(change_.get(), &ignored);
    BUNDLE_CHECK(look());
  }
  return {};
}

/// Reports what has changed; an error ends the server.
Status Supervisor::look() {
  if (auto failure = engine_->failure()) return *std::move(failure);
  bool model_is_set = false;
  {
    const std::lock_guard lock(mutex_);
    if (loaded_) BUNDLE_CHECK(*loaded_);
    model_is_set = loaded_.has_value();
  }
  if (model_is_set && engine_->ready() && !draining_) announce();
  return {};
}

void Supervisor::announce() {
  if (std::exchange(announced_, true)) return;
  const std::string line = "ready " + url(arguments_.host, server_->port()) + "\n";
  std::fputs(line.c_str(), stderr);
}

void Supervisor::on_signal() {
  if (draining_) std::_Exit(static_cast<int>(ErrorCode::kInterrupted));
  draining_ = true;
  log_info("draining: no new requests, and " + std::to_string(arguments_.drain_seconds) +
           " s for those that run; a second signal ends at once");
  server_->begin_drain();
  drainer_ = std::thread([this] {
    const bool all_finished = server_->wait();
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
  Supervisor supervisor(arguments, std::move(spec), std::move(settings));
  BUNDLE_CHECK(supervisor.start(self));
  return supervisor.run(signals);
}

}  // namespace bundle::launch
