// The templates that are compiled into the program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::templates {

/// Names that `bundle init` takes, sorted.
std::vector<std::string> model_template_names();

struct ModelTemplate {
  std::string name;
  std::string text;  // a bundle.yaml
};

/// By its name, by one that the template says it is also known as, or as the model's publisher
/// writes it ("deepseek-ai/DeepSeek-R1"); upper case counts as lower. kNotFound with the nearest
/// name.
Result<ModelTemplate> model_template(std::string_view name);

}  // namespace bundle::templates
