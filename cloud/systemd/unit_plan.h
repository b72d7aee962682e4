// What a deploy would do on hosts with systemd, in words.
#pragma once

#include <optional>

#include "cloud/history.h"
#include "cloud/provider.h"
#include "cloud/systemd/fleet.h"
#include "cloud/systemd/host_form.h"

namespace bundle::cloud {

/// The plan of a placed host form; `before` is what the hosts have now.
Result<DeploymentPlan> unit_plan(const Fleet& fleet, const std::optional<History>& before,
                                 const HostForm& form);

}  // namespace bundle::cloud
