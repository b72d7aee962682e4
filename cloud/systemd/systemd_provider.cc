#include "cloud/systemd/systemd_provider.h"

#include <algorithm>

#include <boost/json/object.hpp>

#include "base/text.h"
#include "cloud/merged_log.h"
#include "cloud/render_only.h"
#include "cloud/server_options.h"
#include "cloud/status.h"
#include "cloud/systemd/fleet.h"
#include "cloud/systemd/host_units.h"
#include "cloud/systemd/placement.h"
#include "cloud/systemd/unit_plan.h"
#include "cloud/systemd/units.h"

namespace bundle::cloud {
namespace {

constexpr int kStopMargin = 30;

std::string url_of(const DeploymentSpec& spec, const Host& host, std::uint16_t port) {
  const bool own = spec.host != "0.0.0.0" && spec.host != "::";
  std::string address = own ? spec.host : host.address();
  if (address.find(':') != std::string::npos) address = "[" + address + "]";
  return scheme_of(spec) + "://" + address + ":" + std::to_string(port);
}

/// Replaces the units of one revision by those of another, a replica at a time, so that with
/// several replicas the others go on answering.
class Roll {
 public:
  Roll(const Fleet& fleet, const DeploymentSpec* before, const DeploymentSpec* after,
       const Progress& progress)
      : fleet_(fleet), before_(before), after_(after), progress_(progress) {}

  Status run() const {
    const auto old_replicas = replicas(before_);
    const auto new_replicas = replicas(after_);
    for (const UnitReplica& replica : new_replicas) BUNDLE_CHECK(put(replica));
    for (const UnitReplica& replica : old_replicas) {
      const bool stays =
          std::any_of(new_replicas.begin(), new_replicas.end(), [&](const UnitReplica& other) {
            return other.index == replica.index && other.host == replica.host;
          });
      if (!stays) BUNDLE_CHECK(take_away(replica));
    }
    return {};
  }

 private:
  std::vector<UnitReplica> replicas(const DeploymentSpec* spec) const {
    return spec == nullptr ? std::vector<UnitReplica>() : place_replicas(*spec, fleet_.size());
  }

  HostUnits units(const UnitReplica& replica) const {
    return {fleet_.host(replica.host), fleet_.units()};
  }

  Status put(const UnitReplica& replica) const {
    const DeploymentSpec& spec = *after_;
    const bool sleeps = spec.scaling.min_replicas == 0;
    BUNDLE_TRY(const std::string text, service_unit(spec, replica, fleet_.root()));
    const HostUnits host = units(replica);
    const std::string unit = unit_name(spec.name, replica.index);
    BUNDLE_TRY(const std::string there, host.text(unit));
    BUNDLE_TRY(const UnitState state, host.state(unit));
    if (there == text && (state.is_ready() || sleeps)) return {};
    if (there != text) BUNDLE_CHECK(host.install(unit, text));
    const std::string socket = socket_name(spec.name, replica.index);
    if (!sleeps) {
      BUNDLE_CHECK(host.remove(socket, 0, progress_));
      return host.start(unit, ready_seconds(spec) + spec.drain_seconds, progress_);
    }
    BUNDLE_CHECK(host.stop(unit, spec.drain_seconds + kStopMargin, progress_));
    BUNDLE_TRY(const std::string socket_text, socket_unit(spec, replica));
    BUNDLE_CHECK(host.install(socket, socket_text));
    return host.start(socket, 10, progress_);
  }

  Status take_away(const UnitReplica& replica) const {
    const HostUnits host = units(replica);
    const int seconds = before_->drain_seconds + kStopMargin;
    BUNDLE_CHECK(host.remove(socket_name(before_->name, replica.index), 10, progress_));
    return host.remove(unit_name(before_->name, replica.index), seconds, progress_);
  }

  const Fleet& fleet_;
  const DeploymentSpec* before_;  // null: nothing runs
  const DeploymentSpec* after_;   // null: nothing shall run
  const Progress& progress_;
};

class SystemdProvider final : public Provider {
 public:
  SystemdProvider(std::string name, JsonObject settings)
      : name_(std::move(name)), settings_(std::move(settings)) {}

  std::string_view name() const override { return name_; }

  Result<std::vector<RenderedFile>> render(const DeploymentSpec& spec) const override {
    BUNDLE_CHECK(check(spec));
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(HostForm form, host_form(spec, fleet.root()));
    if (form.spec.port == 0) form.spec.port = kFirstPort;
    std::vector<RenderedFile> files;
    for (const UnitReplica& replica : place_replicas(form.spec, fleet.size())) {
      const std::string folder = fleet.size() > 1 ? fleet.host(replica.host).address() + "/" : "";
      BUNDLE_TRY(std::string text, service_unit(form.spec, replica, fleet.root()));
      files.push_back({folder + unit_name(spec.name, replica.index), std::move(text)});
      if (spec.scaling.min_replicas > 0) continue;
      BUNDLE_TRY(std::string socket, socket_unit(form.spec, replica));
      files.push_back({folder + socket_name(spec.name, replica.index), std::move(socket)});
    }
    return files;
  }

  Result<DeploymentPlan> plan(const DeploymentSpec& spec) const override {
    BUNDLE_CHECK(check(spec));
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(const auto before, fleet.find_history(spec.name));
    BUNDLE_TRY(HostForm form, host_form(spec, fleet.root()));
    BUNDLE_CHECK(place(fleet, before ? &before->current().spec : nullptr, form.spec));
    return unit_plan(fleet, before, form);
  }

  Result<DeploymentStatus> apply(const DeploymentSpec& spec, const Progress& progress) override {
    BUNDLE_CHECK(check(spec));
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(HostForm form, host_form(spec, fleet.root()));
    return install(fleet, std::move(form), progress);
  }

  Result<DeploymentStatus> status(std::string_view deployment) const override {
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(const History history, fleet.history(deployment));
    return describe(fleet, history);
  }

  Result<std::vector<DeploymentStatus>> list() const override {
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(const auto names, fleet.deployments());
    std::vector<DeploymentStatus> all;
    for (const std::string& name : names) {
      BUNDLE_TRY(const History history, fleet.history(name));
      BUNDLE_TRY(DeploymentStatus one, describe(fleet, history));
      all.push_back(std::move(one));
    }
    return all;
  }

  Result<DeploymentSpec> specification(std::string_view deployment,
                                       std::int64_t revision) const override {
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(const History history, fleet.history(deployment));
    return revision == 0 ? history.current().spec : history.earlier(revision);
  }

  Status logs(std::string_view deployment, const LogOptions& options,
              const std::function<bool(std::string_view)>& sink) const override {
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(const History history, fleet.history(deployment));
    const std::vector<UnitReplica> replicas = place_replicas(history.current().spec, fleet.size());
    const std::vector<std::size_t> hosts = hosts_of(history.current().spec, fleet.size());
    const auto read = [&](std::size_t host, const LogSink& into) {
      return fleet.host(host).stream(log_command(deployment, replicas, host, options), into);
    };
    if (hosts.size() == 1) return read(hosts.front(), sink);
    if (options.follow) {
      MergedLog log(sink);
      for (const std::size_t host : hosts) {
        log.add(fleet.host(host).name(),
                [&read, host](const LogSink& into) { return read(host, into); });
      }
      log.wait();
      return {};
    }
    for (const std::size_t host : hosts) {
      std::string rest;
      BUNDLE_CHECK(read(host, [&](std::string_view piece) {
        return sink(named_lines(fleet.host(host).name(), piece, rest));
      }));
    }
    return {};
  }

  Result<DeploymentStatus> rollback(std::string_view deployment, std::int64_t revision,
                                    const Progress& progress) override {
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(const History history, fleet.history(deployment));
    BUNDLE_TRY(DeploymentSpec spec, history.earlier(revision));
    return install(fleet, HostForm{std::move(spec), {}, {}}, progress);
  }

  Status remove(std::string_view deployment, const Progress& progress) override {
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(const History history, fleet.history(deployment));
    for (const Revision& revision : history.revisions) {
      BUNDLE_CHECK(Roll(fleet, &revision.spec, nullptr, progress).run());
    }
    return fleet.forget(deployment);
  }

  Status check_canary() const override { return {}; }

  Result<std::vector<std::string>> endpoints(std::string_view deployment) const override {
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(const History history, fleet.history(deployment));
    const DeploymentSpec& spec = history.current().spec;
    std::vector<std::string> urls;
    for (const UnitReplica& replica : place_replicas(spec, fleet.size())) {
      urls.push_back(url_of(spec, fleet.host(replica.host), replica.port));
    }
    return urls;
  }

  Result<DeploymentStatus> restart(std::string_view deployment, const Progress& progress) override {
    BUNDLE_TRY(const Fleet fleet, connect());
    BUNDLE_TRY(const History history, fleet.history(deployment));
    const DeploymentSpec& spec = history.current().spec;
    const int seconds = ready_seconds(spec) + spec.drain_seconds;
    for (const UnitReplica& replica : place_replicas(spec, fleet.size())) {
      const HostUnits units(fleet.host(replica.host), fleet.units());
      BUNDLE_CHECK(units.start(unit_name(deployment, replica.index), seconds, progress));
    }
    return describe(fleet, history);
  }

 private:
  Result<Fleet> connect() const {
    return name_ == "ssh" ? Fleet::over_ssh(settings_) : Fleet::local(settings_);
  }

  /// journalctl merges the units of one host by time.
  static std::vector<std::string> log_command(std::string_view deployment,
                                              const std::vector<UnitReplica>& replicas,
                                              std::size_t host, const LogOptions& options) {
    std::vector<std::string> argv = {"journalctl", "--no-pager", "-o",
                                     "cat",        "-n",         std::to_string(options.lines)};
    if (options.follow) argv.emplace_back("-f");
    for (const UnitReplica& replica : replicas) {
      if (replica.host == host)
        argv.insert(argv.end(), {"-u", unit_name(deployment, replica.index)});
    }
    return argv;
  }

  Result<DeploymentStatus> install(const Fleet& fleet, HostForm form, const Progress& progress) {
    BUNDLE_TRY(const auto before, fleet.find_history(form.spec.name));
    BUNDLE_CHECK(place(fleet, before ? &before->current().spec : nullptr, form.spec));
    History next = before.value_or(History{});
    const std::int64_t number = next.number();
    if (!next.is_current(form.spec)) next.add(form.spec);
    next.pending = true;
    const bool resumes = before && before->pending;
    if (next.number() != number || resumes) BUNDLE_CHECK(fleet.save(form.spec.name, next, number));
    const Status done = bring_up(fleet, before, form, progress);
    if (!done) return undo(fleet, before, next, done.error(), progress);
    next.pending = false;
    if (next.number() != number || resumes) {
      BUNDLE_CHECK(fleet.save(form.spec.name, next, next.number()));
      for (std::size_t i = 0; i < fleet.size(); ++i) BUNDLE_CHECK(fleet.collect(i));
    }
    return describe(fleet, next);
  }

  static Status bring_up(const Fleet& fleet, const std::optional<History>& before,
                         const HostForm& form, const Progress& progress) {
    for (std::size_t i = 0; i < fleet.size(); ++i) {
      BUNDLE_CHECK(fleet.transfer(form, i, progress));
      BUNDLE_CHECK(fleet.share_secrets(form.spec, i));
    }
    const DeploymentSpec* old = before ? &before->current().spec : nullptr;
    return Roll(fleet, old, &form.spec, progress).run();
  }

  /// After a failure: what ran before runs again, and the state says so. An interruption or a lost
  /// host leaves the pending mark, since nothing more can be done there now.
  static Error undo(const Fleet& fleet, const std::optional<History>& before, const History& next,
                    Error error, const Progress& progress) {
    const std::string& name = next.current().spec.name;
    if (error.code == ErrorCode::kInterrupted || error.code == ErrorCode::kUnreachable) {
      error.remedy += " Revision " + std::to_string(next.number()) +
                      " is marked as not finished: run the same 'bundle deploy' again, or 'bundle "
                      "rollback " +
                      name + "'.";
      return error;
    }
    const DeploymentSpec* old = before ? &before->current().spec : nullptr;
    const Status back = Roll(fleet, &next.current().spec, old, progress).run();
    const Status saved = before ? fleet.save(name, *before, next.number()) : fleet.forget(name);
    if (!back || !saved) {
      error.remedy += "\nWhat ran before could not be restored: " +
                      (back ? saved.error() : back.error()).message();
    } else if (before) {
      error.remedy += "\nRevision " + std::to_string(before->number()) + " runs again.";
    }
    return error;
  }

  static Result<DeploymentStatus> describe(const Fleet& fleet, const History& history) {
    const DeploymentSpec& spec = history.current().spec;
    DeploymentStatus status = status_of(history);
    std::size_t ready = 0;
    for (const UnitReplica& replica : place_replicas(spec, fleet.size())) {
      const Host& host = fleet.host(replica.host);
      const std::string unit = unit_name(spec.name, replica.index);
      ReplicaStatus one{unit, host.name(), "unknown", false, url_of(spec, host, replica.port), ""};
      if (const auto state = HostUnits(host, fleet.units()).state(unit)) {
        one.state = state->active;
        one.ready = state->is_ready();
        one.message = state->text;
        if (status.pid == 0) status.pid = state->pid;
        if (status.uptime_seconds == 0) status.uptime_seconds = state->uptime_seconds;
      } else {
        one.message = state.error().message();
      }
      if (one.ready) ++ready;
      status.replicas.push_back(std::move(one));
    }
    status.url = status.replicas.front().url;
    conclude(history, ready, status);
    return status;
  }

  static void conclude(const History& history, std::size_t ready, DeploymentStatus& status) {
    const bool sleeps = history.current().spec.scaling.min_replicas == 0;
    status.ready = ready > 0;
    status.state = ready == status.replicas.size() ? "running" : ready > 0 ? "degraded" : "stopped";
    if (ready == 0 && sleeps) {
      status.state = "asleep";
      status.message = "the first connection starts it";
    }
    for (const ReplicaStatus& replica : status.replicas) {
      if (replica.state == "activating" && ready == 0) status.state = "starting";
    }
    tell_pending(history, status);
  }

  std::string name_;
  JsonObject settings_;
};

Result<std::vector<RenderedFile>> quadlets(const DeploymentSpec& spec) {
  DeploymentSpec placed = spec;
  if (placed.port == 0) placed.port = kFirstPort;
  std::vector<RenderedFile> files;
  for (const UnitReplica& replica : place_replicas(placed, 1)) {
    BUNDLE_TRY(std::string text, quadlet(placed, replica));
    files.push_back({"bundle-" + spec.name + "-" + std::to_string(replica.index) + ".container",
                     std::move(text)});
  }
  return files;
}

}  // namespace

std::unique_ptr<Provider> make_systemd_provider(const JsonObject& settings) {
  return std::make_unique<SystemdProvider>("systemd", settings);
}

std::unique_ptr<Provider> make_ssh_provider(const JsonObject& settings) {
  return std::make_unique<SystemdProvider>("ssh", settings);
}

std::unique_ptr<Provider> make_podman_provider(const JsonObject&) {
  return make_render_only(
      "podman", "Add --render DIR, and copy what is in it to /etc/containers/systemd.", quadlets);
}

}  // namespace bundle::cloud
