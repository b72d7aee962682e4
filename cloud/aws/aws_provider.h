// The targets "aws" (a CloudFormation template) and "terraform" (the same resources as
// main.tf.json): files alone; the vendor's own tool applies them.
#pragma once

#include <memory>

#include "cloud/provider.h"

namespace bundle::cloud {

/// Settings: source (s3://BUCKET/PREFIX, a copy of a host's tree), instance_type, instance_types,
/// machine_image, vpc, subnets, allow_from, certificate, public, spot, on_demand_base, warm_pool,
/// root_device.
std::unique_ptr<Provider> make_aws_provider(const JsonObject& settings);
std::unique_ptr<Provider> make_terraform_provider(const JsonObject& settings);

}  // namespace bundle::cloud
