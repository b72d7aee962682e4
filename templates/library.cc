#include "templates/library.h"

#include "base/text.h"

namespace bundle::templates {

/// Defined in the file that CMake writes from templates/models/*.yaml.
struct Embedded {
  const char* name;
  const char* text;
};
extern const Embedded kModelTemplates[];
extern const std::size_t kModelTemplateCount;

std::vector<std::string> model_template_names() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kModelTemplateCount; ++i) names.emplace_back(kModelTemplates[i].name);
  return names;
}

Result<std::string> model_template(std::string_view name) {
  for (std::size_t i = 0; i < kModelTemplateCount; ++i) {
    if (name == kModelTemplates[i].name) return std::string(kModelTemplates[i].text);
  }
  const std::string near = nearest(name, model_template_names());
  return not_found(
      "there is no template '" + std::string(name) + "'", "",
      near.empty() ? "'bundle init --help' lists them." : "Did you mean '" + near + "'?");
}

}  // namespace bundle::templates
