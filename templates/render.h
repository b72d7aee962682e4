// The renderer of deploy files. A template is a readable file of its own language with a few marks:
//
//   {{ path.to.value }}          the value, quoted as this place of this language needs it
//   {% if path %} {% if not path %} {% else %} {% for item in path %} {% end %}
//   {% include folder/file %}    that template, indented like this line
//
// Marks with % stand alone on their line. The language follows from the file's name, and the
// quoting from the language and the place: a template cannot forget it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace bundle::templates {

/// Renders the built-in template `name` ("systemd/bundle.service"). An error names template and
/// line: kNotFound for an unknown template, kBadInput for a value that its place cannot hold,
/// kFailed for a fault of the template, such as a value that is not there.
Result<std::string> render(std::string_view name, const JsonObject& values);

/// The same with a template given as text; the language follows from `name`.
Result<std::string> render_text(std::string_view name, std::string_view text,
                                const JsonObject& values);

/// Names of all built-in deploy templates, sorted.
std::vector<std::string> deploy_template_names();

}  // namespace bundle::templates
