#include "runtime/format/safetensors_index.h"

#include <set>

#include "base/json.h"

namespace bundle::format {
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr std::uint64_t kMaxIndex = 256u << 20;

bool is_safe_name(std::string_view name) {
  return name.ends_with(".safetensors") &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos &&
         !name.starts_with("..");
}

Result<SafetensorsFiles> from_weight_map(const JsonObject& map) {
  SafetensorsFiles files;
  std::set<std::string> shards;
  for (const auto& [key, value] : map) {
    const std::string tensor(key);
    if (!value.is_string()) {
      return bad_input("weight_map gives no file name for '" + tensor + "'", kIndex);
    }
    std::string shard(value.get_string());
    if (!is_safe_name(shard)) {
      return bad_input("weight_map puts '" + tensor + "' into '" + shard +
                           "', which is no name of a .safetensors file beside it",
                       kIndex);
    }
    shards.insert(shard);
    files.weight_map.emplace(tensor, std::move(shard));
  }
  files.names.assign(shards.begin(), shards.end());
  return files;
}

Result<SafetensorsFiles> read_index(const ModelSource& source) {
  BUNDLE_TRY(const std::string text, source.read(kIndex, kMaxIndex));
  BUNDLE_TRY(const Json json, parse_json(text, kIndex));
  const Json* map = find(json, "weight_map");
  if (map == nullptr || !map->is_object()) return bad_input("it has no weight_map", kIndex);
  if (map->get_object().empty()) return bad_input("its weight_map is empty", kIndex);
  BUNDLE_TRY(SafetensorsFiles files, from_weight_map(map->get_object()));
  for (const std::string& name : files.names) {
    if (source.find(name) == nullptr) {
      return bad_input("the shard '" + name + "' is missing", kIndex, "Fetch the model again.");
    }
  }
  return files;
}

}  // namespace

Result<SafetensorsFiles> safetensors_files(const ModelSource& source) {
  if (source.find(kSingle) != nullptr) return SafetensorsFiles{{kSingle}, {}};
  if (source.find(kIndex) != nullptr) return read_index(source);
  std::vector<std::string> names;
  for (const SourceFile& file : source.files()) {
    if (file.name.ends_with(".safetensors")) names.push_back(file.name);
  }
  if (names.empty()) {
    return not_found("the model has no weights: neither .safetensors nor .gguf", {},
                     "Convert pickled weights (.bin, .pth) to safetensors first.");
  }
  if (names.size() > 1) {
    return bad_input("there are several .safetensors files ('" + names.front() + "', '" +
                         names.back() + "'), but no " + kIndex,
                     {}, "Fetch the index too.");
  }
  return SafetensorsFiles{std::move(names), {}};
}

}  // namespace bundle::format
