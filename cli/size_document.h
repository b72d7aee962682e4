// The answer of `bundle size` as a document (schema "bundle-size/1", docs/sizing.md).
#pragma once

#include "base/json.h"
#include "cli/size_run.h"

namespace bundle::cli {

/// At most `plans` plans; the first is the best.
Json size_document(const SizeInput& input, const SizeRun& run, std::size_t plans);

/// What goes into bundle.yaml's `resources` for a plan: gpu, gpu_type, memory, disk.
JsonObject plan_resources(const SizeRun& run, const sizing::Plan& plan);

/// One refusal for each GPU: of its largest layout on one node, where there are several.
std::vector<const sizing::Refusal*> main_refusals(const SizeRun& run);

/// "no layout meets a tpot of 1 ms; the nearest is …", or "" when there are plans.
std::string unmet_text(const SizeRun& run);

/// Rounded to so many decimals.
double rounded(double value, int decimals);

}  // namespace bundle::cli
