#include "cloud/aws/stack_template.h"

#include <algorithm>
#include <regex>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/base64.h"
#include "base/sha256.h"
#include "base/text.h"
#include "cloud/server_options.h"
#include "cloud/systemd/host_form.h"
#include "templates/render.h"

namespace bundle::cloud {
namespace {

constexpr char kRoot[] = "/var/lib/bundle";
constexpr std::size_t kMostUserData = 16'384;
constexpr std::size_t kMostTags = 40;  // of 50, some of which AWS sets itself
constexpr std::size_t kMostTagKey = 128;
constexpr std::size_t kMostTagValue = 256;
constexpr std::uint16_t kAdminPort = 9090;
constexpr int kStopMargin = 30;
constexpr int kHookMargin = 120;
constexpr std::int64_t kDefaultConcurrency = 16;

std::string text(const JsonObject& settings, std::string_view key, std::string fallback = {}) {
  const Json* value = settings.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : fallback;
}

JsonArray list(const JsonObject& settings, std::string_view key) {
  const Json* value = settings.if_contains(key);
  return value != nullptr && value->is_array() ? value->get_array() : JsonArray();
}

/// Bucket and prefix of s3://BUCKET/PREFIX.
struct Source {
  std::string bucket;
  std::string prefix;
};

Result<Source> source_of(const JsonObject& settings) {
  static const std::regex form(
      "s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([A-Za-z0-9/_.-]*[A-Za-z0-9_.-])");
  const std::string source = text(settings, "source");
  std::smatch match;
  if (!std::regex_match(source, match, form)) {
    return bad_input("'aws.source' is no s3://BUCKET/PREFIX", "aws.source",
                     "It names a copy of the tree that --render writes beside the template.");
  }
  return Source{match[1], match[2]};
}

/// Labels become tags, whose keys and values AWS limits.
Status check_labels(const DeploymentSpec& spec) {
  static const std::regex form("[A-Za-z0-9 _.:/=+@-]*");
  if (spec.labels.size() > kMostTags) return bad_input("more than 40 labels", "labels");
  for (const auto& [key, value] : spec.labels) {
    const bool fits = !key.empty() && key.size() <= kMostTagKey && value.size() <= kMostTagValue &&
                      std::regex_match(key, form) && std::regex_match(value, form);
    const bool is_taken = key.starts_with("aws:") || key.starts_with("bundle-") || key == "Name";
    if (fits && !is_taken) continue;
    return bad_input("the label '" + show_controls(replace_invalid_utf8(key.substr(0, 128))) +
                         "' is no tag that AWS takes",
                     "labels",
                     "Use letters, digits, blanks and _.:/=+@-, at most 128 in the key and 256 in "
                     "the value; 'aws:', 'bundle-' and 'Name' are taken.");
  }
  return {};
}

Status check_settings(const DeploymentSpec& spec) {
  const std::pair<const char*, const char*> needed[] = {
      {"machine_image", "ami-…, an image with GPU drivers and the AWS command line"},
      {"instance_type", "p5en.48xlarge or another; 'bundle size' says which fit"},
      {"vpc", "vpc-…, the network that its machines and load balancer are in"}};
  for (const auto& [key, what] : needed) {
    if (!text(spec.settings, key).empty()) continue;
    return bad_input("'aws." + std::string(key) + "' is not set", "aws",
                     "Name it in deployment.yaml: " + std::string(what) + ".");
  }
  BUNDLE_CHECK(source_of(spec.settings));
  if (list(spec.settings, "subnets").size() < 2) {
    return bad_input("a load balancer needs two subnets", "aws.subnets",
                     "Name two of the VPC's, in different zones.");
  }
  if (!spec.secrets.empty() || !spec.api_key_file.empty()) {
    return bad_input("keys and secrets have no place in a template", "secrets",
                     "Put them into the machine image or a gateway.");
  }
  if (spec.tls.on()) {
    return bad_input("TLS ends at the load balancer", "tls",
                     "Name its certificate: aws.certificate.");
  }
  if (spec.admin_port != 0 && spec.admin_port != kAdminPort) {
    return bad_input("the machines' admin port is " + std::to_string(kAdminPort), "admin_port",
                     "Leave it out.");
  }
  BUNDLE_CHECK(refuse_log_file(spec, "a machine"));
  BUNDLE_CHECK(check_labels(spec));
  static const std::regex stack_name("[A-Za-z][A-Za-z0-9-]*");
  if (!std::regex_match(spec.name, stack_name)) {
    return bad_input("'" + spec.name + "' is no name of a stack", "name",
                     "Use letters, digits and '-', beginning with a letter.");
  }
  return {};
}

JsonArray server_command(const DeploymentSpec& spec) {
  JsonArray words;
  for (const std::string& word : spec.server) words.emplace_back(word);
  for (const std::string& word :
       {std::string("--launch"), launch_file(spec, kRoot), std::string("--host"),
        std::string("0.0.0.0"), std::string("--port"), std::string("8000")}) {
    words.emplace_back(word);
  }
  for (const std::string& word : server_options(spec, {}, kAdminPort)) words.emplace_back(word);
  return words;
}

JsonArray variables(const DeploymentSpec& spec) {
  JsonArray words;
  for (const auto& [name, value] : spec.environment) words.emplace_back(name + "=" + value);
  return words;
}

std::string group_name(const DeploymentSpec& spec) { return stack_name(spec.name); }

Result<std::string> user_data(const DeploymentSpec& spec) {
  return templates::render("aws/user-data.sh",
                           {{"name", spec.name},
                            {"source", text(spec.settings, "source")},
                            {"group_name", group_name(spec)},
                            {"command", server_command(spec)},
                            {"environment", variables(spec)},
                            {"start_seconds", ready_seconds(spec)},
                            {"stop_seconds", spec.drain_seconds + kStopMargin}});
}

JsonArray tags_of(const DeploymentSpec& spec) {
  JsonArray tags{JsonObject{{"key", kDeploymentTag}, {"value", spec.name}}};
  for (const auto& [key, value] : spec.labels) {
    tags.push_back(JsonObject{{"key", key}, {"value", value}});
  }
  return tags;
}

JsonArray instance_types(const DeploymentSpec& spec) {
  JsonArray types{text(spec.settings, "instance_type")};
  for (const Json& more : list(spec.settings, "instance_types")) types.push_back(more);
  return types;
}

std::int64_t disk_gb(const DeploymentSpec& spec) {
  const double bytes = spec.resources.disk > 0 ? static_cast<double>(spec.resources.disk)
                                               : 1.2 * static_cast<double>(spec.weight_bytes);
  return 40 + static_cast<std::int64_t>(bytes / 1e9);
}

Result<JsonObject> common_values(const DeploymentSpec& spec) {
  const JsonObject& settings = spec.settings;
  BUNDLE_TRY(const Source source, source_of(settings));
  BUNDLE_TRY(const bool spot, get_bool_or(settings, "spot", false, "aws"));
  BUNDLE_TRY(const bool open, get_bool_or(settings, "public", false, "aws"));
  BUNDLE_TRY(const std::int64_t base, get_int_or(settings, "on_demand_base", 0, "aws"));
  BUNDLE_TRY(const std::int64_t warm, get_int_or(settings, "warm_pool", 0, "aws"));
  BUNDLE_TRY(std::string script, user_data(spec));
  if (script.size() > kMostUserData) {
    return bad_input("the script of a machine's first start has " + std::to_string(script.size()) +
                         " bytes; AWS takes 16,384",
                     "env", "Set fewer or shorter environment variables.");
  }
  const std::string certificate = text(settings, "certificate");
  const std::string bucket_arn = "arn:aws:s3:::" + source.bucket;
  const int start = ready_seconds(spec);
  JsonArray allowed = list(settings, "allow_from");
  if (allowed.empty()) allowed.emplace_back("10.0.0.0/8");
  return JsonObject{
      {"name", spec.name},
      {"description", "bundle deployment " + spec.name},
      {"bucket_arn", bucket_arn},
      {"objects_arn", bucket_arn + "/" + source.prefix + "/*"},
      {"list_prefix", source.prefix + "/*"},
      {"group_name", group_name(spec)},
      {"group_arn",
       "arn:${AWS::Partition}:autoscaling:${AWS::Region}:${AWS::AccountId}:"
       "autoScalingGroup:*:autoScalingGroupName/" +
           group_name(spec)},
      {"vpc", text(settings, "vpc")},
      {"subnets", list(settings, "subnets")},
      {"allow_from", std::move(allowed)},
      {"listener_port", certificate.empty() ? 80 : 443},
      {"certificate", certificate},
      {"scheme", open ? "internet-facing" : "internal"},
      {"machine_image", text(settings, "machine_image")},
      {"instance_type", text(settings, "instance_type")},
      {"instance_types", instance_types(spec)},
      {"root_device", text(settings, "root_device", "/dev/xvda")},
      {"disk_gb", disk_gb(spec)},
      {"user_data", script},
      {"user_data_base64", base64_encode(script)},
      {"drain_seconds", spec.drain_seconds},
      {"drain_text", std::to_string(std::min(3600, spec.drain_seconds))},
      {"hook_seconds", spec.drain_seconds + kHookMargin},
      {"start_seconds", start},
      {"pause_time", "PT" + std::to_string(std::min(3600, start)) + "S"},
      {"min_replicas", spec.scaling.min_replicas},
      {"max_replicas", spec.scaling.max_replicas},
      {"min_text", std::to_string(spec.scaling.min_replicas)},
      {"max_text", std::to_string(spec.scaling.max_replicas)},
      // One may be missing while it is replaced; with a single replica it is replaced first.
      {"in_service", std::max(0, spec.scaling.min_replicas - 1)},
      {"on_demand_base", base},
      {"on_demand_percent", spot ? 0 : 100},
      {"warm_pool", warm},
      {"automatic", spec.scaling.is_automatic()},
      {"target",
       spec.scaling.target_concurrency > 0 ? spec.scaling.target_concurrency : kDefaultConcurrency},
      {"tags", tags_of(spec)}};
}

std::string assume_policy() {
  return print_json(
      JsonObject{{"Version", "2012-10-17"},
                 {"Statement",
                  JsonArray{JsonObject{{"Effect", "Allow"},
                                       {"Principal", JsonObject{{"Service", "ec2.amazonaws.com"}}},
                                       {"Action", "sts:AssumeRole"}}}}});
}

/// The same rights as the CloudFormation template gives.
std::string replica_policy(const JsonObject& values) {
  const auto allow = [](Json actions, Json resource) {
    return JsonObject{
        {"Effect", "Allow"}, {"Action", std::move(actions)}, {"Resource", std::move(resource)}};
  };
  JsonObject list = allow("s3:ListBucket", values.at("bucket_arn"));
  list["Condition"] =
      JsonObject{{"StringLike", JsonObject{{"s3:prefix", values.at("list_prefix")}}}};
  JsonObject metric = allow("cloudwatch:PutMetricData", "*");
  metric["Condition"] =
      JsonObject{{"StringEquals", JsonObject{{"cloudwatch:namespace", "bundle"}}}};
  const std::string group(values.at("group_name").get_string());
  return print_json(JsonObject{
      {"Version", "2012-10-17"},
      {"Statement",
       JsonArray{
           allow("s3:GetObject", values.at("objects_arn")), std::move(list), std::move(metric),
           allow(
               JsonArray{"autoscaling:CompleteLifecycleAction",
                         "autoscaling:RecordLifecycleActionHeartbeat"},
               Json("arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/" + group))}}});
}

/// What Terraform writes in another form than CloudFormation.
void add_terraform_values(const DeploymentSpec& spec, JsonObject& values) {
  JsonObject ranges;
  for (const Json& range : values.at("allow_from").get_array()) ranges[range.get_string()] = range;
  JsonArray overrides;
  for (const Json& type : values.at("instance_types").get_array()) {
    overrides.push_back(JsonObject{{"instance_type", type}});
  }
  JsonArray tags;
  for (const Json& tag : values.at("tags").get_array()) {
    tags.push_back(JsonObject{
        {"key", tag.at("key")}, {"value", tag.at("value")}, {"propagate_at_launch", true}});
  }
  const std::string certificate(values.at("certificate").get_string());
  values["name_prefix"] = group_name(spec) + "-";
  values["assume_policy"] = assume_policy();
  values["replica_policy"] = replica_policy(values);
  values["allow_map"] = std::move(ranges);
  values["overrides"] = std::move(overrides);
  values["terraform_tags"] = std::move(tags);
  values["internal"] = values.at("scheme") == "internal";
  values["protocol"] = certificate.empty() ? "HTTP" : "HTTPS";
  values["certificate_or_null"] = certificate.empty() ? Json(nullptr) : Json(certificate);
}

/// The template with a record in its Metadata. The revision's number is a tag of the group: a
/// template whose Metadata alone differs is no change to CloudFormation.
Result<std::string> render_stack(JsonObject values, JsonObject record, std::int64_t revision) {
  values["record"] = std::move(record);
  values["revision_text"] = std::to_string(revision);
  return templates::render("aws/stack.yaml", values);
}

/// The small files of the tree; blobs and the server are named by the list, to be copied beside.
void add_tree(const HostForm& form, std::vector<RenderedFile>& files) {
  std::string manifest;
  for (const auto& [file, there] : form.files) {
    manifest += file.path + "\t" + path_in_source(there) + "\n";
  }
  files.push_back({"tree.tsv", std::move(manifest)});
  for (const HostText& small : form.texts) {
    files.push_back({"tree/" + path_in_source(small.path), small.text});
  }
}

}  // namespace

std::string stack_name(std::string_view deployment) { return "bundle-" + std::string(deployment); }

std::string path_in_source(const std::string& path_on_machine) {
  return path_on_machine.substr(sizeof kRoot);
}

Result<HostForm> machine_form(const DeploymentSpec& spec) {
  BUNDLE_CHECK(check_settings(spec));
  return host_form(spec, kRoot);
}

Result<std::string> stack_fingerprint(const DeploymentSpec& machine_spec) {
  BUNDLE_TRY(JsonObject values, common_values(machine_spec));
  BUNDLE_TRY(const std::string body, render_stack(std::move(values), {}, 0));
  return sha256_hex(body);
}

Result<std::string> stack_body(History history) {
  const DeploymentSpec spec = history.current().spec;
  BUNDLE_TRY(const JsonObject values, common_values(spec));
  BUNDLE_TRY(const std::string fingerprint, stack_fingerprint(spec));
  for (;;) {
    BUNDLE_TRY(std::string body,
               render_stack(values, record_values({history, fingerprint}), history.number()));
    if (body.size() <= kMostTemplateBytes) return body;
    if (history.revisions.size() == 1) {
      return bad_input("the stack's template has " + std::to_string(body.size()) +
                           " bytes; CloudFormation takes 51,200",
                       spec.bundle,
                       "Build the bundle of fewer, larger files, or set fewer variables.");
    }
    history.revisions.erase(history.revisions.begin());
  }
}

std::map<std::string, std::string> stack_tags(const DeploymentSpec& spec) {
  std::map<std::string, std::string> tags(spec.labels.begin(), spec.labels.end());
  tags[kDeploymentTag] = spec.name;
  return tags;
}

std::vector<std::pair<std::string, std::string>> stack_resources(std::string_view body) {
  static const std::regex form("\n  ([A-Za-z0-9]+):\n    Type: (AWS::[A-Za-z0-9:]+)\n");
  const std::string text(body);
  std::vector<std::pair<std::string, std::string>> found;
  for (std::sregex_iterator at(text.begin(), text.end(), form), end; at != end; ++at) {
    found.emplace_back((*at)[1], (*at)[2]);
  }
  return found;
}

Result<std::vector<RenderedFile>> render_cloudformation(const DeploymentSpec& spec) {
  BUNDLE_TRY(const HostForm form, machine_form(spec));
  BUNDLE_TRY(std::string body, stack_body(History{{{1, 0, form.spec}}, false}));
  std::vector<RenderedFile> files{{"stack.yaml", std::move(body)}};
  add_tree(form, files);
  return files;
}

Result<std::vector<RenderedFile>> render_terraform(const DeploymentSpec& spec) {
  BUNDLE_TRY(const HostForm form, machine_form(spec));
  BUNDLE_TRY(JsonObject values, common_values(form.spec));
  add_terraform_values(form.spec, values);
  BUNDLE_TRY(std::string text, templates::render("terraform/main.tf.json", values));
  std::vector<RenderedFile> files{{"main.tf.json", std::move(text)}};
  add_tree(form, files);
  return files;
}

}  // namespace bundle::cloud
