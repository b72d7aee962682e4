// The answer of `bundle size` for people.
#pragma once

#include <string>

#include "cli/size_run.h"

namespace bundle::cli {

/// Model, best plan with its reasons, a table of others, and what was refused.
std::string size_text(const SizeInput& input, const SizeRun& run, std::size_t plans);

/// The sums behind a plan: weights by what they are, memory, and the time of a step.
std::string explain_text(const SizeRun& run, const sizing::Plan& plan);

/// Two answers side by side: `name` is the variation.
std::string what_if_text(const SizeRun& before, const SizeRun& after, const std::string& name);

}  // namespace bundle::cli
