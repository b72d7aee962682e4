// Access to the files that CMake compiles into the program from templates/.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace bundle::templates {

/// One file. Defined in the source that CMake writes.
struct Embedded {
  const char* name;
  const char* text;
};

extern const Embedded kModelTemplates[];
extern const std::size_t kModelTemplateCount;
extern const Embedded kDeployTemplates[];
extern const std::size_t kDeployTemplateCount;

/// A deploy template by its path under templates/, or none.
std::optional<std::string_view> embedded_deploy_template(std::string_view name);

}  // namespace bundle::templates
