#include "cloud/slurm/slurm_provider.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include <boost/json/object.hpp>

#include "base/text.h"
#include "cloud/slurm/job.h"
#include "cloud/status.h"
#include "cloud/systemd/fleet.h"

namespace bundle::cloud {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPoll{500};
constexpr int kFreshSeconds = 60;  // how long an endpoint's heartbeat counts

/// 0: its jobs are ended until it is scaled up again.
int replica_count(const DeploymentSpec& spec) { return spec.scaling.min_replicas; }

/// The cluster as one deployment sees it.
class Cluster {
 public:
  explicit Cluster(Fleet fleet) : fleet_(std::move(fleet)) {}

  const Fleet& fleet() const { return fleet_; }
  const Host& host() const { return fleet_.host(0); }
  const std::string& root() const { return fleet_.root(); }

  /// The address that a replica announced within the last minute, or "".
  Result<std::string> endpoint(std::string_view deployment, int index) const {
    BUNDLE_TRY(
        const std::string out,
        run_script(host(),
                   "[ -e \"$1\" ] || exit 0; "
                   "[ $(( $(date +%s) - $(stat -c %Y -- \"$1\") )) -lt \"$2\" ] || exit 0; "
                   "head -n 1 -- \"$1\"",
                   {endpoint_file(root(), deployment, index), std::to_string(kFreshSeconds)}));
    return out.substr(0, out.find('\n'));
  }

  Result<std::string> submit(const DeploymentSpec& spec, int index, std::int64_t revision) const {
    BUNDLE_TRY(const std::string script, job_script(spec, index, revision, root()));
    const std::string path = script_file(root(), spec.name, index);
    BUNDLE_CHECK(write_text(host(), path, script, "0755"));
    BUNDLE_TRY(std::string id, run_checked(host(), {"sbatch", "--parsable", path}));
    return id.substr(0, id.find_first_of(";\n"));
  }

  /// Whether the job was made from the script that the specification gives, its number aside: a
  /// revision that changes other replicas alone leaves this one running.
  Result<bool> is_current(const DeploymentSpec& spec, int index, const Job& job) const {
    BUNDLE_TRY(const std::string wanted, job_script(spec, index, job.revision, root()));
    BUNDLE_TRY(const auto written, read_text(host(), script_file(root(), spec.name, index)));
    return written == wanted;
  }

  /// What the scheduler says of a script without queueing it.
  Result<std::string> test(const DeploymentSpec& spec, int index, std::int64_t revision) const {
    BUNDLE_TRY(const std::string script, job_script(spec, index, revision, root()));
    BUNDLE_TRY(const CommandResult result, host().run({"sbatch", "--test-only"}, script));
    std::string said = result.err + result.out;
    while (!said.empty() && said.back() == '\n') said.pop_back();
    if (result.exit_code != 0) {
      return Error{ErrorCode::kUnreachable, "Slurm refuses the job: " + said, host().name(),
                   "Ask for what a partition has: 'sinfo' lists it."};
    }
    return said;
  }

  /// Marks the job as ended on purpose, lets it drain, and waits until it has left the queue.
  Status stop(const DeploymentSpec& spec, const Job& job, const Progress& progress) const {
    const int index = std::stoi(job.name.substr(job.name.rfind('-') + 1));
    BUNDLE_CHECK(write_text(host(), stop_mark(root(), spec.name, index) + "." + job.id, ""));
    const bool runs = job.state == "RUNNING";
    // One that has not begun has nothing to drain.
    BUNDLE_CHECK(run_checked(
        host(), runs ? std::vector<std::string>{"scancel", "--signal=TERM", "--batch", job.id}
                     : std::vector<std::string>{"scancel", job.id}));
    const auto deadline = Clock::now() + std::chrono::seconds(spec.drain_seconds + 30);
    for (bool forced = false;;) {
      BUNDLE_TRY(const auto jobs, queued_jobs(host(), spec.name));
      const bool there = std::any_of(jobs.begin(), jobs.end(),
                                     [&](const Job& other) { return other.id == job.id; });
      if (!there) return {};
      if (progress && !progress("draining job " + job.id, 0, 0)) {
        return Error{ErrorCode::kInterrupted, "stopped while a job was draining", job.id};
      }
      if (!forced && Clock::now() > deadline) {
        BUNDLE_CHECK(run_checked(host(), {"scancel", job.id}));
        forced = true;
      }
      if (Clock::now() > deadline + std::chrono::seconds(120)) {
        return failed("the job does not leave the queue", job.id);
      }
      std::this_thread::sleep_for(kPoll);
    }
  }

  /// Waits until the replica's server answers. The time of loading counts from when the job runs.
  Status wait_ready(const DeploymentSpec& spec, int index, const std::string& id,
                    const Progress& progress) const {
    auto deadline = Clock::time_point::max();
    for (;;) {
      BUNDLE_TRY(const std::string url, endpoint(spec.name, index));
      if (!url.empty()) return {};
      BUNDLE_TRY(const auto jobs, queued_jobs(host(), spec.name));
      const auto job =
          std::find_if(jobs.begin(), jobs.end(), [&](const Job& other) { return other.id == id; });
      if (job == jobs.end()) return ended(spec, index, id, "ended before its server was ready");
      if (job->state == "RUNNING" && deadline == Clock::time_point::max()) {
        deadline = Clock::now() + std::chrono::seconds(ready_seconds(spec));
      }
      if (Clock::now() > deadline) return ended(spec, index, id, "was not ready in time");
      const std::string why = job->state == "PENDING" ? " (" + job->reason + ")" : "";
      if (progress && !progress("job " + id + " " + job->state + why, 0, 0)) {
        return Error{ErrorCode::kInterrupted, "stopped while a job was starting", id};
      }
      std::this_thread::sleep_for(kPoll);
    }
  }

 private:
  Error ended(const DeploymentSpec& spec, int index, const std::string& id,
              const char* what) const {
    const auto lines =
        run_checked(host(), {"tail", "-n", "12", "--", job_log(root(), spec.name, index)});
    return failed("job " + id + " " + what, host().name(), "It printed:\n" + (lines ? *lines : ""));
  }

  Fleet fleet_;
};

class SlurmProvider final : public Provider {
 public:
  explicit SlurmProvider(JsonObject settings) : settings_(std::move(settings)) {}

  std::string_view name() const override { return "slurm"; }

  Result<std::vector<RenderedFile>> render(const DeploymentSpec& spec) const override {
    BUNDLE_CHECK(check(spec));
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const HostForm form, host_form(spec, cluster.root()));
    std::vector<RenderedFile> files;
    for (int i = 0; i < std::max(1, replica_count(spec)); ++i) {
      BUNDLE_TRY(std::string script, job_script(form.spec, i, 1, cluster.root()));
      files.push_back({job_name(spec.name, i) + ".sh", std::move(script)});
    }
    return files;
  }

  Result<DeploymentPlan> plan(const DeploymentSpec& spec) const override {
    BUNDLE_CHECK(check(spec));
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const HostForm form, host_form(spec, cluster.root()));
    BUNDLE_TRY(const auto before, cluster.fleet().find_history(spec.name));
    const bool same = before && before->is_current(form.spec);
    DeploymentPlan plan;
    plan.deployment = spec.name;
    plan.revision = (before ? before->number() : 0) + (same ? 0 : 1);
    BUNDLE_TRY(const std::uint64_t missing, cluster.fleet().missing_bytes(form));
    BUNDLE_TRY(const auto jobs, queued_jobs(cluster.host(), spec.name));
    const bool all = static_cast<int>(jobs.size()) == replica_count(spec);
    plan.changes = !same || before->pending || missing > 0 || !all;
    if (!plan.changes) {
      plan.steps = {"nothing: revision " + std::to_string(plan.revision) + " is queued or runs"};
      return plan;
    }
    if (before) {
      plan.differences = differences(before->current().spec.to_json(), form.spec.to_json());
    }
    if (missing > 0) plan.steps.push_back("copy " + human_bytes(missing) + " to " + cluster.root());
    for (int i = 0; i < replica_count(spec); ++i) {
      plan.steps.push_back((before ? "replace job " : "submit job ") + job_name(spec.name, i));
    }
    BUNDLE_TRY(const std::string said, cluster.test(form.spec, 0, plan.revision));
    plan.notes.push_back(said);
    plan.notes.emplace_back(
        "a job drains before its successor is submitted, so that it needs no "
        "machine beside it; with update.strategy: surge it is the other way");
    return plan;
  }

  Result<DeploymentStatus> apply(const DeploymentSpec& spec, const Progress& progress) override {
    BUNDLE_CHECK(check(spec));
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const HostForm form, host_form(spec, cluster.root()));
    return install(cluster, form, progress);
  }

  Result<DeploymentStatus> status(std::string_view deployment) const override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const History history, cluster.fleet().history(deployment));
    return describe(cluster, history);
  }

  Result<std::vector<DeploymentStatus>> list() const override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const auto names, cluster.fleet().deployments());
    std::vector<DeploymentStatus> all;
    for (const std::string& name : names) {
      BUNDLE_TRY(DeploymentStatus one, status(name));
      all.push_back(std::move(one));
    }
    return all;
  }

  Result<DeploymentSpec> specification(std::string_view deployment,
                                       std::int64_t revision) const override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const History history, cluster.fleet().history(deployment));
    return revision == 0 ? history.current().spec : history.earlier(revision);
  }

  Status logs(std::string_view deployment, const LogOptions& options,
              const std::function<bool(std::string_view)>& sink) const override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const History history, cluster.fleet().history(deployment));
    if (replica_count(history.current().spec) == 0) {
      return not_found("no replica of '" + std::string(deployment) + "' runs");
    }
    std::vector<std::string> argv = {"tail", "-q", "-n", std::to_string(options.lines)};
    if (options.follow) argv.emplace_back("-F");
    argv.emplace_back("--");
    for (int i = 0; i < replica_count(history.current().spec); ++i) {
      argv.push_back(job_log(cluster.root(), deployment, i));
    }
    return cluster.host().stream(argv, sink);
  }

  Result<DeploymentStatus> rollback(std::string_view deployment, std::int64_t revision,
                                    const Progress& progress) override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const History history, cluster.fleet().history(deployment));
    BUNDLE_TRY(DeploymentSpec spec, history.earlier(revision));
    return install(cluster, HostForm{std::move(spec), {}, {}}, progress);
  }

  Status remove(std::string_view deployment, const Progress& progress) override {
    BUNDLE_TRY(const Cluster cluster, connect());
    BUNDLE_TRY(const History history, cluster.fleet().history(deployment));
    BUNDLE_TRY(const auto jobs, queued_jobs(cluster.host(), deployment));
    for (const Job& job : jobs) {
      BUNDLE_CHECK(cluster.stop(history.current().spec, job, progress));
    }
    return cluster.fleet().forget(deployment);
  }

 private:
  Result<Cluster> connect() const {
    const Json* folder = settings_.if_contains("folder");
    if (folder == nullptr || !folder->is_string()) {
      return Error{ErrorCode::kUsage, "the target 'slurm' has no shared folder", "",
                   "Name one that all machines see: slurm: {folder: /shared/bundle}."};
    }
    JsonObject settings = settings_;
    settings["root"] = *folder;
    BUNDLE_TRY(const std::string host, get_string_or(settings_, "host", "", "slurm"));
    if (!host.empty()) settings["hosts"] = JsonArray{host};
    BUNDLE_TRY(Fleet fleet, host.empty() ? Fleet::local(settings) : Fleet::over_ssh(settings));
    return Cluster(std::move(fleet));
  }

  static Result<DeploymentStatus> install(const Cluster& cluster, const HostForm& form,
                                          const Progress& progress) {
    const std::string& name = form.spec.name;
    const Fleet& fleet = cluster.fleet();
    BUNDLE_TRY(const auto before, fleet.find_history(name));
    History next = before.value_or(History{});
    const std::int64_t number = next.number();
    if (!next.is_current(form.spec)) next.add(form.spec);
    next.pending = true;
    // The scheduler's refusal comes before anything is changed.
    BUNDLE_CHECK(cluster.test(form.spec, 0, next.number()));
    BUNDLE_CHECK(fleet.save(name, next, number));
    Status done = fleet.transfer(form, 0, progress);
    if (done) done = replace_jobs(cluster, form.spec, next.number(), progress);
    if (!done) return undo(cluster, before, next, done.error(), progress);
    next.pending = false;
    BUNDLE_CHECK(fleet.save(name, next, next.number()));
    BUNDLE_CHECK(fleet.collect(0));
    return describe(cluster, next);
  }

  /// Brings every replica to the revision, one after another, and ends those beyond the count.
  static Status replace_jobs(const Cluster& cluster, const DeploymentSpec& spec,
                             std::int64_t revision, const Progress& progress) {
    BUNDLE_TRY(const auto jobs, queued_jobs(cluster.host(), spec.name));
    const bool surge = spec.update.strategy == "surge";
    for (int i = 0; i < replica_count(spec); ++i) {
      std::vector<Job> old;
      bool there = false;
      for (const Job& job : jobs) {
        if (job.name != job_name(spec.name, i)) continue;
        BUNDLE_TRY(const bool current, cluster.is_current(spec, i, job));
        there = there || current;
        if (!current) old.push_back(job);
      }
      if (there && old.empty()) continue;
      if (!surge) BUNDLE_CHECK(stop_all(cluster, spec, old, progress));
      BUNDLE_TRY(const std::string id, cluster.submit(spec, i, revision));
      BUNDLE_CHECK(cluster.wait_ready(spec, i, id, progress));
      if (surge) BUNDLE_CHECK(stop_all(cluster, spec, old, progress));
    }
    std::vector<Job> surplus;
    for (const Job& job : jobs) {
      const int index = std::stoi(job.name.substr(job.name.rfind('-') + 1));
      if (index >= replica_count(spec)) surplus.push_back(job);
    }
    return stop_all(cluster, spec, surplus, progress);
  }

  static Status stop_all(const Cluster& cluster, const DeploymentSpec& spec,
                         const std::vector<Job>& jobs, const Progress& progress) {
    for (const Job& job : jobs) BUNDLE_CHECK(cluster.stop(spec, job, progress));
    return {};
  }

  static Error undo(const Cluster& cluster, const std::optional<History>& before,
                    const History& next, Error error, const Progress& progress) {
    const DeploymentSpec& spec = next.current().spec;
    if (error.code == ErrorCode::kInterrupted || error.code == ErrorCode::kUnreachable) {
      error.remedy += " Revision " + std::to_string(next.number()) +
                      " is marked as not finished: run the same 'bundle deploy' again, or 'bundle "
                      "rollback " +
                      spec.name + "'.";
      return error;
    }
    Status back;
    if (before) {
      back = replace_jobs(cluster, before->current().spec, before->number(), progress);
      if (back) back = cluster.fleet().save(spec.name, *before, next.number());
      if (back) error.remedy += "\nRevision " + std::to_string(before->number()) + " runs again.";
    } else {
      const auto jobs = queued_jobs(cluster.host(), spec.name);
      if (jobs) back = stop_all(cluster, spec, *jobs, progress);
      if (back) back = cluster.fleet().forget(spec.name);
    }
    if (!back) error.remedy += "\nIt could not be undone: " + back.error().message();
    return error;
  }

  static Result<DeploymentStatus> describe(const Cluster& cluster, const History& history) {
    const DeploymentSpec& spec = history.current().spec;
    DeploymentStatus status = status_of(history);
    BUNDLE_TRY(const auto jobs, queued_jobs(cluster.host(), spec.name));
    std::size_t ready = 0;
    for (int i = 0; i < replica_count(spec); ++i) {
      ReplicaStatus one{job_name(spec.name, i), "", "stopped", false, "", ""};
      BUNDLE_TRY(one.url, cluster.endpoint(spec.name, i));
      for (const Job& job : jobs) {
        if (job.name != one.name) continue;
        one.where = job.node;
        one.state = job.state;
        one.message = "job " + job.id + (job.reason == "None" ? "" : ", " + job.reason);
      }
      one.ready = !one.url.empty() && one.state == "RUNNING";
      ready += one.ready ? 1 : 0;
      if (status.url.empty()) status.url = one.url;
      status.replicas.push_back(std::move(one));
    }
    status.ready = ready > 0;
    status.state = jobs.empty() ? "stopped" : state_of(ready, status.replicas.size());
    if (replica_count(spec) == 0) {
      status.state = "asleep";
      status.message = "scaled to none: 'bundle scale " + spec.name + " 1' starts a job";
    } else if (!status.ready) {
      status.message = status.replicas.front().message;
    }
    tell_pending(history, status);
    return status;
  }

  JsonObject settings_;
};

}  // namespace

std::unique_ptr<Provider> make_slurm_provider(const JsonObject& settings) {
  return std::make_unique<SlurmProvider>(settings);
}

}  // namespace bundle::cloud
