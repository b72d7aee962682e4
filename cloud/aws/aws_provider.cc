#include "cloud/aws/aws_provider.h"

#include <algorithm>
#include <regex>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/base64.h"
#include "cloud/render_only.h"
#include "cloud/server_options.h"
#include "cloud/systemd/host_form.h"
#include "templates/render.h"

namespace bundle::cloud {
namespace {

constexpr char kRoot[] = "/var/lib/bundle";
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
  static const std::regex form("s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([A-Za-z0-9/_.-]+[^/])");
  const std::string source = text(settings, "source");
  std::smatch match;
  if (!std::regex_match(source, match, form)) {
    return bad_input("'aws.source' is no s3://BUCKET/PREFIX", "aws.source",
                     "It names a copy of the tree that --render writes beside the template.");
  }
  return Source{match[1], match[2]};
}

Status check_settings(const DeploymentSpec& spec) {
  for (const char* key : {"machine_image", "instance_type", "vpc"}) {
    if (text(spec.settings, key).empty()) {
      return bad_input("'aws." + std::string(key) + "' is not set", "aws");
    }
  }
  if (list(spec.settings, "subnets").size() < 2) {
    return bad_input("a load balancer needs two subnets", "aws.subnets");
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

std::string group_name(const DeploymentSpec& spec) { return "bundle-" + spec.name; }

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
  JsonArray tags{JsonObject{{"key", "bundle-deployment"}, {"value", spec.name}}};
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
  const std::string certificate = text(settings, "certificate");
  const std::string bucket_arn = "arn:aws:s3:::" + source.bucket;
  const int start = ready_seconds(spec);
  JsonArray allowed = list(settings, "allow_from");
  if (allowed.empty()) allowed.emplace_back("10.0.0.0/8");
  return JsonObject{
      {"name", spec.name},
      {"description", "bundle deployment " + spec.name},
      {"record", JsonObject{{"bundle", spec.bundle}, {"digest", spec.digest}}},
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

Result<std::vector<RenderedFile>> render(const DeploymentSpec& spec, const char* name,
                                         const char* path) {
  BUNDLE_CHECK(check_settings(spec));
  BUNDLE_TRY(const HostForm form, host_form(spec, kRoot));
  BUNDLE_TRY(JsonObject values, common_values(form.spec));
  add_terraform_values(form.spec, values);
  BUNDLE_TRY(std::string text, templates::render(name, values));
  std::vector<RenderedFile> files{{path, std::move(text)}};
  // The small files of the tree; blobs and the server are named by the list, to be copied beside.
  std::string manifest;
  for (const auto& [file, there] : form.files) {
    manifest += file.path + "\t" + there.substr(sizeof kRoot) + "\n";
  }
  files.push_back({"tree.tsv", std::move(manifest)});
  for (const HostText& small : form.texts) {
    files.push_back({"tree/" + small.path.substr(sizeof kRoot), small.text});
  }
  return files;
}

}  // namespace

std::unique_ptr<Provider> make_aws_provider(const JsonObject&) {
  return make_render_only(
      "aws",
      "Add --render DIR, copy the files of DIR/tree.tsv and DIR/tree to aws.source, then: aws "
      "cloudformation deploy --template-file DIR/stack.yaml --stack-name NAME --capabilities "
      "CAPABILITY_IAM.",
      [](const DeploymentSpec& spec) { return render(spec, "aws/stack.yaml", "stack.yaml"); });
}

std::unique_ptr<Provider> make_terraform_provider(const JsonObject&) {
  return make_render_only("terraform", "Add --render DIR, then run terraform init and apply there.",
                          [](const DeploymentSpec& spec) {
                            return render(spec, "terraform/main.tf.json", "main.tf.json");
                          });
}

}  // namespace bundle::cloud
