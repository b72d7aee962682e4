// Whose account of AWS is used, and where it answers: the variables and files of AWS's own tools.
#pragma once

#include <string>

#include "base/result.h"
#include "base/sigv4.h"

namespace bundle {

/// $AWS_ACCESS_KEY_ID, $AWS_SECRET_ACCESS_KEY and $AWS_SESSION_TOKEN, else those of $AWS_PROFILE
/// ("default") in $AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials); empty when there are none.
/// Not while another thread sets variables.
AwsCredentials aws_credentials();

/// $AWS_REGION or $AWS_DEFAULT_REGION, else the profile's in $AWS_CONFIG_FILE (~/.aws/config); ""
/// when nothing says one.
std::string aws_region();

/// What stands in for AWS: $`variable`, else $AWS_ENDPOINT_URL; "" for AWS itself.
std::string aws_endpoint(const char* variable);

/// ".amazonaws.com", or what takes its place in that region.
const char* aws_domain(const std::string& region);

/// Lower-case letters, digits and '-': what may become a part of a host's name.
bool is_aws_region(const std::string& text);

}  // namespace bundle
