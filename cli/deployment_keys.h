// The table of deployment.yaml's keys, in the form of bundle.yaml's: what each may hold, what it
// means and its default. Parser, errors and reference page follow from it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "packager/manifest_keys.h"

namespace bundle::cli {

/// Every key; a section stands before the keys in it. Keys below `runtime` are bundle.yaml's.
std::span<const packager::ManifestKey> deployment_keys();

/// Null when there is no such key.
const packager::ManifestKey* find_deployment_key(std::string_view path);

/// Last parts of the keys directly in a section; "" is the top.
std::vector<std::string> deployment_key_names(std::string_view section);

/// docs/deployment-yaml.md.
std::string deployment_reference();

}  // namespace bundle::cli
