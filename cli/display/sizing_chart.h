// The answer of `bundle size` as a picture.
#pragma once

#include <string>

#include "cli/size_run.h"

namespace bundle::cli {

/// An SVG document: the memory of a GPU as a bar for each of the cheapest plans, and price against
/// time per token with the Pareto front. Stands alone: no script, no font, nothing fetched.
std::string sizing_chart(const SizeRun& run);

}  // namespace bundle::cli
