// The templates that are compiled into the program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::templates {

/// Names that `bundle init` takes, sorted.
std::vector<std::string> model_template_names();

/// The bundle.yaml of a name; kNotFound with the nearest name.
Result<std::string> model_template(std::string_view name);

}  // namespace bundle::templates
