#include "cloud/catalog/catalog.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "cloud/catalog/embedded.h"
#include "cloud/catalog/read_entry.h"

namespace bundle::catalog {
namespace {

/// Letters and digits in lower case: "H200-141GB" and "h200 141gb" are one name.
std::string folded(std::string_view name) {
  std::string text;
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.') {
      text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return text;
}

std::vector<std::string> names_of(const sizing::GpuSpec& gpu) {
  std::vector<std::string> names{gpu.id, gpu.name};
  names.insert(names.end(), gpu.aliases.begin(), gpu.aliases.end());
  for (const std::string& other : {gpu.driver_name, gpu.skypilot_name}) {
    if (!other.empty()) names.push_back(other);
  }
  return names;
}

std::vector<std::string> names_of(const ModelEntry& model) {
  std::vector<std::string> names{model.name};
  const auto add_hub_id = [&](const std::string& id) {
    if (id.empty()) return;
    names.push_back(id);
    const std::size_t slash = id.find('/');
    if (slash != std::string::npos) names.push_back(id.substr(slash + 1));
  };
  add_hub_id(model.hub_id);
  const Json* aliases = find(model.document, "aliases");
  if (aliases == nullptr || !aliases->is_array()) return names;
  for (const Json& alias : aliases->get_array()) {
    if (alias.is_string()) add_hub_id(std::string(alias.get_string()));
  }
  return names;
}

/// The entry one of whose names is `name`; an entry's own names go before others' aliases.
template <typename Entry>
const Entry* lookup(const std::vector<Entry>& entries, std::string_view name) {
  const std::string wanted = folded(name);
  const Entry* found = nullptr;
  std::size_t rank = 0;
  for (const Entry& entry : entries) {
    const auto names = names_of(entry);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (folded(names[i]) != wanted || (found != nullptr && i >= rank)) continue;
      found = &entry;
      rank = i;
    }
  }
  return found;
}

template <typename Entry>
Error unknown(const std::vector<Entry>& entries, std::string_view name, const char* kind) {
  std::vector<std::string> all;
  for (const Entry& entry : entries) {
    for (std::string& each : names_of(entry)) {
      std::transform(each.begin(), each.end(), each.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      all.push_back(std::move(each));
    }
  }
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string near = nearest(lower, all);
  return not_found(std::string("the catalogue has no ") + kind + " '" + std::string(name) + "'", "",
                   near.empty() ? "See 'bundle catalog list'." : "Did you mean '" + near + "'?");
}

template <typename Entry, typename Same>
void put(std::vector<Entry>& entries, Entry entry, Same same) {
  const auto at = std::find_if(entries.begin(), entries.end(),
                               [&](const Entry& other) { return same(other, entry); });
  if (at != entries.end()) {
    *at = std::move(entry);
  } else {
    entries.push_back(std::move(entry));
  }
}

Status merge_file(Catalog& catalog, const std::string& file) {
  if (!std::filesystem::exists(file)) return {};
  BUNDLE_TRY(const Json document, read_json_file(file));
  return catalog.merge(document, file);
}

}  // namespace

Result<Catalog> Catalog::built_in() {
  Catalog catalog;
  for (const EmbeddedFile& file : embedded_files()) {
    BUNDLE_TRY(const Json document, parse_json(file.text, file.name));
    BUNDLE_CHECK(catalog.merge(document, file.name));
  }
  return catalog;
}

Result<Catalog> Catalog::open() {
  BUNDLE_TRY(Catalog catalog, built_in());
  BUNDLE_CHECK(merge_file(catalog, update_file()));
  BUNDLE_CHECK(merge_file(catalog, local_file()));
  return catalog;
}

Status Catalog::merge(const Json& document, std::string_view where) {
  Catalog changed = *this;
  BUNDLE_TRY(Entries entries, read_entries(document, where));
  for (auto& gpu : entries.gpus) {
    put(changed.gpus_, std::move(gpu), [](const auto& a, const auto& b) { return a.id == b.id; });
  }
  for (auto& model : entries.models) {
    put(changed.models_, std::move(model),
        [](const auto& a, const auto& b) { return a.name == b.name; });
  }
  for (auto& machine : entries.machines) {
    const bool known = std::any_of(changed.gpus_.begin(), changed.gpus_.end(),
                                   [&](const auto& gpu) { return gpu.id == machine.gpu; });
    if (!known) {
      return bad_input("the instance '" + machine.type + "' has a GPU '" + machine.gpu +
                           "' that the catalogue lacks",
                       std::string(where), "Add the GPU under 'gpus'.");
    }
    put(changed.machines_, std::move(machine), [](const auto& a, const auto& b) {
      return a.provider == b.provider && a.type == b.type && a.gpu == b.gpu;
    });
  }
  *this = std::move(changed);
  return {};
}

Result<const sizing::GpuSpec*> Catalog::gpu(std::string_view name) const {
  if (const auto* found = lookup(gpus_, name)) return found;
  return unknown(gpus_, name, "GPU");
}

const ModelEntry* Catalog::find_model(std::string_view name) const { return lookup(models_, name); }

Result<const ModelEntry*> Catalog::model(std::string_view name) const {
  if (const auto* found = find_model(name)) return found;
  return unknown(models_, name, "model");
}

std::vector<std::string> Catalog::providers() const {
  std::vector<std::string> names;
  for (const auto& machine : machines_) {
    if (std::find(names.begin(), names.end(), machine.provider) == names.end()) {
      names.push_back(machine.provider);
    }
  }
  return names;
}

Result<sizing::ModelShape> shape_of(const ModelEntry& entry) {
  const Json* config = find(entry.document, "config");
  if (config == nullptr) return bad_input("the entry '" + entry.name + "' has no 'config'");
  return sizing::shape_of_config(*config, entry.name);
}

JsonObject join_documents(Json& kept, const Json& more) {
  JsonObject counts;
  JsonObject& into = kept.as_object();
  for (const char* key : {"models", "gpus"}) {
    const Json* map = find(more, key);
    if (map == nullptr) continue;
    Json& target = into.emplace(key, JsonObject{}).first->value();
    for (const auto& [name, entry] : map->get_object()) target.as_object()[name] = entry;
    counts[key] = map->get_object().size();
  }
  const Json* list = find(more, "instances");
  if (list == nullptr) return counts;
  JsonArray& target = into.emplace("instances", JsonArray{}).first->value().as_array();
  for (const Json& entry : list->get_array()) {
    const auto same = [&](const Json& other) {
      return entry.at("provider") == other.at("provider") &&
             entry.at("instance_type") == other.at("instance_type") &&
             entry.at("gpu") == other.at("gpu");
    };
    const auto* at = std::find_if(target.begin(), target.end(), same);
    if (at == target.end()) {
      target.push_back(entry);
    } else {
      target[static_cast<std::size_t>(at - target.begin())] = entry;
    }
  }
  counts["instances"] = list->get_array().size();
  return counts;
}

std::string update_file() { return (bundle_home() / "catalog" / "update.json").string(); }
std::string local_file() { return (bundle_home() / "catalog" / "local.json").string(); }

}  // namespace bundle::catalog
