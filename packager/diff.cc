#include "packager/diff.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "runtime/format/checkpoint.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kMostListed = 50;

/// bundle.json as a flat map: "runtime.sampling.top_p" -> 0.9. Files are compared by themselves.
void flatten(const Json& value, const std::string& path, std::map<std::string, Json>& into) {
  const JsonObject* object = value.if_object();
  if (object == nullptr) {
    into[path] = value;
    return;
  }
  for (const auto& [key, member] : *object) {
    const std::string name = path.empty() ? std::string(key) : path + '.' + std::string(key);
    if (name != "files" && name != "server.layers") flatten(member, name, into);
  }
}

Json changed_settings(const Json& from, const Json& to) {
  std::map<std::string, Json> before;
  std::map<std::string, Json> after;
  flatten(from, "", before);
  flatten(to, "", after);
  std::set<std::string> keys;
  for (const auto& [key, unused] : before) keys.insert(key);
  for (const auto& [key, unused] : after) keys.insert(key);
  JsonArray changes;
  for (const std::string& key : keys) {
    const Json old_value = before.contains(key) ? before[key] : Json();
    const Json new_value = after.contains(key) ? after[key] : Json();
    if (old_value == new_value) continue;
    changes.push_back(JsonObject{{"key", key}, {"from", old_value}, {"to", new_value}});
  }
  return changes;
}

Json changed_files(const StoredBundle& from, const StoredBundle& to) {
  JsonArray changes;
  const auto note = [&changes](const std::string& name, const char* change) {
    changes.push_back(JsonObject{{"name", name}, {"change", change}});
  };
  for (const format::SourceFile& file : from.model.files()) {
    const format::SourceFile* other = to.model.find(file.name);
    if (other == nullptr) note(file.name, "removed");
    if (other != nullptr && other->sha256 != file.sha256) note(file.name, "changed");
  }
  for (const format::SourceFile& file : to.model.files()) {
    if (from.model.find(file.name) == nullptr) note(file.name, "added");
  }
  return changes;
}

bool same_weights(const StoredBundle& from, const StoredBundle& to) {
  const auto hashes = [](const StoredBundle& bundle) {
    std::set<std::string> set;
    for (const format::SourceFile& file : bundle.model.files()) {
      if (file.name.ends_with(".safetensors") || file.name.ends_with(".gguf")) {
        set.insert(file.sha256);
      }
    }
    return set;
  };
  return hashes(from) == hashes(to);
}

bool same_tensor(const format::TensorView& a, const format::TensorView& b) {
  return a.type == b.type && a.shape == b.shape && a.data.size() == b.data.size() &&
         std::memcmp(a.data.data(), b.data.data(), a.data.size()) == 0;
}

Json tensor_changes(const format::Checkpoint& from, const format::Checkpoint& to) {
  JsonArray added;
  JsonArray removed;
  JsonArray changed;
  std::int64_t same = 0;
  for (const auto& [name, tensor] : from.tensors()) {
    const format::TensorView* other = to.find(name);
    if (other == nullptr) {
      removed.emplace_back(name);
      continue;
    }
    const bool is_same = same_tensor(tensor, *other);
    from.drop(tensor);
    to.drop(*other);
    if (is_same) {
      ++same;
      continue;
    }
    changed.push_back(JsonObject{{"name", name},
                                 {"from", dtype_info(tensor.type).name},
                                 {"to", dtype_info(other->type).name}});
  }
  for (const auto& [name, tensor] : to.tensors()) {
    if (from.find(name) == nullptr) added.emplace_back(name);
  }
  return JsonObject{{"same", same},
                    {"added", std::move(added)},
                    {"removed", std::move(removed)},
                    {"changed", std::move(changed)}};
}

Json runtime_of(const StoredBundle& bundle) {
  JsonArray layers;
  for (const StoredLayer& layer : bundle.layers) {
    if (layer.role == LayerRole::kRuntime) layers.emplace_back(layer.descriptor.digest);
  }
  return layers;
}

/// Names come from model files: no control character of theirs reaches a terminal.
std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return text;
}

std::string plain(const Json& value) {
  if (value.is_null()) return "(not set)";
  std::string text =
      printable(value.is_string() ? std::string(value.get_string()) : print_json(value));
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

void append_names(std::string& out, const char* title, const JsonArray& names) {
  for (std::size_t i = 0; i < names.size() && i < kMostListed; ++i) {
    const Json* name = names[i].is_string() ? &names[i] : find(names[i], "name");
    out += std::string("  ") + title + ' ' + printable(std::string(name->get_string())) + '\n';
  }
  if (names.size() > kMostListed) {
    out += "  " + std::to_string(names.size() - kMostListed) + " more " + title + '\n';
  }
}

}  // namespace

Result<Json> diff_bundles(const StoredBundle& from, const StoredBundle& to) {
  JsonObject diff{{"same", from.digest == to.digest},
                  {"settings", changed_settings(from.bundle, to.bundle)},
                  {"files", changed_files(from, to)}};
  if (!same_weights(from, to)) {
    BUNDLE_TRY(const auto before, format::Checkpoint::open(from.model));
    BUNDLE_TRY(const auto after, format::Checkpoint::open(to.model));
    diff["tensors"] = tensor_changes(before, after);
  }
  const Json old_runtime = runtime_of(from);
  const Json new_runtime = runtime_of(to);
  if (old_runtime != new_runtime) {
    diff["runtime"] = JsonObject{{"from", old_runtime}, {"to", new_runtime}};
  }
  return Json(std::move(diff));
}

std::string diff_text(const Json& diff) {
  if (diff.at("same").get_bool()) return "the same bundle\n";
  std::string out;
  for (const Json& change : diff.at("settings").get_array()) {
    out += std::string(change.at("key").get_string()) + ": " + plain(change.at("from")) + " -> " +
           plain(change.at("to")) + '\n';
  }
  for (const Json& change : diff.at("files").get_array()) {
    out += "file " + std::string(change.at("name").get_string()) + ' ' +
           std::string(change.at("change").get_string()) + '\n';
  }
  if (const Json* tensors = find(diff, "tensors"); tensors != nullptr) {
    out += "tensors: " + print_json(tensors->at("same")) + " the same\n";
    append_names(out, "added", tensors->at("added").get_array());
    append_names(out, "removed", tensors->at("removed").get_array());
    append_names(out, "changed", tensors->at("changed").get_array());
  }
  if (find(diff, "runtime") != nullptr) out += "the server is another one\n";
  return out.empty() ? "the same in meaning: only packing differs\n" : out;
}

}  // namespace bundle::packager
