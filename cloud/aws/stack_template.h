// A deployment as CloudFormation's template, or as Terraform's, and the tree of files in S3 that
// its machines start from.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloud/aws/stack_record.h"
#include "cloud/provider.h"
#include "cloud/systemd/host_form.h"

namespace bundle::cloud {

/// The tag that makes a stack ours; its value is the deployment's name.
inline constexpr char kDeploymentTag[] = "bundle-deployment";

/// "bundle-NAME": of the stack and of its Auto Scaling group.
std::string stack_name(std::string_view deployment);

/// Where a file of a machine lies below aws.source.
std::string path_in_source(const std::string& path_on_machine);

/// The deployment as its machines keep it. kBadInput, naming the setting, for what a machine of AWS
/// cannot be given.
Result<HostForm> machine_form(const DeploymentSpec& spec);

/// SHA-256 of the template without record and revision: equal for equal stacks.
Result<std::string> stack_fingerprint(const DeploymentSpec& machine_spec);

/// The template of the history's last revision, with as many of the earlier ones in its record as
/// fit. kBadInput when the last alone does not.
Result<std::string> stack_body(History history);

std::map<std::string, std::string> stack_tags(const DeploymentSpec& spec);

/// Name and type of each resource of a template of ours.
std::vector<std::pair<std::string, std::string>> stack_resources(std::string_view body);

/// What --render writes.
Result<std::vector<RenderedFile>> render_cloudformation(const DeploymentSpec& spec);
Result<std::vector<RenderedFile>> render_terraform(const DeploymentSpec& spec);

}  // namespace bundle::cloud
