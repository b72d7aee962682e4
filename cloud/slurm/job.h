// Jobs of a deployment: the script of a replica, and what the queue says of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cloud/deployment_spec.h"
#include "cloud/host/host.h"

namespace bundle::cloud {

/// "bundle-NAME-INDEX".
std::string job_name(std::string_view deployment, int index);

/// The batch script of one replica of a specification in host form. kBadInput for a value that an
/// #SBATCH line cannot hold.
Result<std::string> job_script(const DeploymentSpec& spec, int index, std::int64_t revision,
                               const std::string& root);

/// Files beside a deployment's state.
std::string script_file(const std::string& root, std::string_view deployment, int index);
std::string endpoint_file(const std::string& root, std::string_view deployment, int index);
std::string job_log(const std::string& root, std::string_view deployment, int index);
/// The secret of a replica over several machines lies in this file with the job's number behind it.
std::string group_token_file(const std::string& root, std::string_view deployment, int index);
std::string stop_mark(const std::string& root, std::string_view deployment, int index);

/// One line of the queue.
struct Job {
  std::string id;
  std::string name;
  std::string state;  // PENDING, RUNNING, …
  std::string node;
  std::string reason;
  std::int64_t revision = 0;
};

/// Jobs of one deployment that have not ended.
Result<std::vector<Job>> queued_jobs(const Host& host, std::string_view deployment);

/// squeue's lines, parted by '|', of that deployment alone.
std::vector<Job> parse_jobs(std::string_view lines, std::string_view deployment);

}  // namespace bundle::cloud
