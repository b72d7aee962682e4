// The target "aws": a deployment is a stack of CloudFormation, changed by change sets; its template
// holds the revisions. And the target "terraform": the same resources as main.tf.json, for
// Terraform to apply.
#pragma once

#include <memory>

#include "cloud/provider.h"

namespace bundle::cloud {

/// Settings: region, source (s3://BUCKET/PREFIX, a copy of a host's tree), instance_type,
/// instance_types, machine_image, vpc, subnets, allow_from, certificate, public, spot,
/// on_demand_base, warm_pool, boot_seconds, root_device, upload. Keys come from the environment
/// (base/aws_account.h).
std::unique_ptr<Provider> make_aws_provider(const JsonObject& settings);
std::unique_ptr<Provider> make_terraform_provider(const JsonObject& settings);

}  // namespace bundle::cloud
