#include "templates/library.h"

#include <algorithm>

#include "base/text.h"
#include "templates/embedded.h"
#include "templates/render.h"

namespace bundle::templates {

std::vector<std::string> model_template_names() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kModelTemplateCount; ++i) names.emplace_back(kModelTemplates[i].name);
  return names;
}

namespace {

constexpr std::string_view kAlso = "# Also known as: ";

/// "deepseek-ai/DeepSeek-R1" -> "deepseek-r1".
std::string plain(std::string_view name) {
  std::string out(name.substr(name.rfind('/') + 1));
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '_' || c == ' ') c = '-';
  }
  return out;
}

/// What a template says it is also known as.
std::vector<std::string> aliases_of(std::string_view text) {
  std::vector<std::string> names;
  const std::size_t at = text.find(kAlso);
  if (at == std::string_view::npos) return names;
  std::string_view list = text.substr(at + kAlso.size());
  list = list.substr(0, list.find('\n'));
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(", "), list.size());
    names.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 2, list.size()));
  }
  return names;
}

}  // namespace

Result<ModelTemplate> model_template(std::string_view name) {
  const std::string wanted = plain(name);
  std::vector<std::string> known;
  for (std::size_t i = 0; i < kModelTemplateCount; ++i) {
    std::vector<std::string> names = aliases_of(kModelTemplates[i].text);
    names.emplace_back(kModelTemplates[i].name);
    for (const std::string& each : names) {
      if (each == wanted) return ModelTemplate{kModelTemplates[i].name, kModelTemplates[i].text};
      known.push_back(each);
    }
  }
  const std::string near = nearest(wanted, known);
  return not_found(
      "there is no template '" + std::string(name) + "'", "",
      near.empty() ? "'bundle init --help' lists them." : "Did you mean '" + near + "'?");
}

std::vector<std::string> deploy_template_names() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kDeployTemplateCount; ++i) {
    names.emplace_back(kDeployTemplates[i].name);
  }
  return names;
}

std::optional<std::string_view> embedded_deploy_template(std::string_view name) {
  for (std::size_t i = 0; i < kDeployTemplateCount; ++i) {
    if (name == kDeployTemplates[i].name) return kDeployTemplates[i].text;
  }
  return std::nullopt;
}

}  // namespace bundle::templates
