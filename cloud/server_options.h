// The part of a server's command line that a specification asks for, the same on every target.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cloud/deployment_spec.h"

namespace bundle::cloud {

/// Where a server finds the files that its specification names; "": it asks for none.
struct ServerFiles {
  std::string api_keys;
  TlsFiles tls;
};

/// --drain-seconds, and what the specification asks for of --admin-port (this one; 0: none),
/// --api-key-file, --tls-… and --access-log.
std::vector<std::string> server_options(const DeploymentSpec& spec, const ServerFiles& files,
                                        std::uint16_t admin_port);

/// --name, for a server that starts from an image: the image does not know under which name its
/// bundle is kept. Elsewhere the launch document has it.
std::vector<std::string> name_option(const DeploymentSpec& spec);

/// Files with these names in one folder, as far as the specification has them: api-keys,
/// tls-certificate, tls-key, tls-client-ca.
ServerFiles files_in(const std::string& folder, const DeploymentSpec& spec);

/// "http" or "https".
std::string scheme_of(const DeploymentSpec& spec);

}  // namespace bundle::cloud
