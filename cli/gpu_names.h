// One GPU, many names: what each target calls the GPU that a bundle or a deployment asks for.
#pragma once

#include <string>
#include <string_view>

#include "cloud/catalog/catalog.h"

namespace bundle::cli {

/// `gpu_type` (a catalogue name such as "h100_sxm" or "H100", which `bundle size --write` and
/// templates use, or a target's own) as `target` names it: the node label nvidia.com/gpu.product on
/// Kubernetes, the accelerator on SkyPilot. A name that the catalogue lacks is left as it is, since
/// a cluster may have labels of its own; so is every name on the other targets.
std::string gpu_type_on(std::string_view target, const std::string& gpu_type,
                        const catalog::Catalog& catalog);

}  // namespace bundle::cli
