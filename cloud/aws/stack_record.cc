#include "cloud/aws/stack_record.h"

#include <algorithm>
#include <charconv>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/base64.h"

namespace bundle::cloud {
namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kMostRevisions = 100;

bool has_same_keys(const JsonObject& one, const JsonObject& other) {
  return std::ranges::equal(
      one, other, {}, [](const auto& pair) { return pair.key(); },
      [](const auto& pair) { return pair.key(); });
}

/// Adds {"at": [path], "is": value} for what `to` has differently. Objects with other keys, or the
/// same in another order, are said whole: the order of a launch document's keys names its file.
void collect_edits(const Json& from, const Json& to, JsonArray& path, JsonArray& edits) {
  if (print_json(from) == print_json(to)) return;
  const bool may_descend =
      from.is_object() && to.is_object() && has_same_keys(from.get_object(), to.get_object());
  if (!may_descend) {
    edits.push_back(JsonObject{{"at", path}, {"is", to}});
    return;
  }
  for (const auto& [key, value] : to.get_object()) {
    path.emplace_back(key);
    collect_edits(from.at(key), value, path, edits);
    path.pop_back();
  }
}

/// Carries one edit out on `document`.
Status edit(const Json& change, Json& document, std::string_view where) {
  const Json* path = find(change, "at");
  const Json* value = find(change, "is");
  Json* place = &document;
  if (path == nullptr || !path->is_array() || value == nullptr) {
    return bad_input("an earlier revision is not readable", std::string(where));
  }
  for (const Json& key : path->get_array()) {
    place = key.is_string() && place->is_object()
                ? place->get_object().if_contains(key.get_string())
                : nullptr;
    if (place == nullptr) {
      return bad_input("an earlier revision is not readable", std::string(where));
    }
  }
  *place = *value;
  return {};
}

/// The text of a line "    KEY: TEXT" within the Metadata of a template, quotes taken off.
std::string metadata_line(std::string_view body, std::string_view key) {
  const std::size_t start = body.find("\nMetadata:\n");
  const std::size_t end = body.find("\nResources:\n");
  if (start == std::string_view::npos || end == std::string_view::npos || end < start) return "";
  std::string_view part = body.substr(start, end + 1 - start);
  const std::string mark = "\n    " + std::string(key) + ": ";
  const std::size_t at = part.find(mark);
  if (at == std::string_view::npos) return "";
  part.remove_prefix(at + mark.size());
  std::string text(part.substr(0, part.find('\n')));
  std::erase(text, '"');
  return text;
}

}  // namespace

Json compact_history(const History& history) {
  JsonArray list;
  const Json* newer = nullptr;
  Json document;
  for (auto revision = history.revisions.rbegin(); revision != history.revisions.rend();
       ++revision) {
    Json own = revision->spec.to_json();
    JsonObject entry{{"number", revision->number}, {"created", revision->created}};
    if (newer == nullptr) {
      entry["spec"] = own;
    } else {
      JsonArray edits;
      JsonArray path;
      collect_edits(*newer, own, path, edits);
      entry["edits"] = std::move(edits);
    }
    list.push_back(std::move(entry));
    document = std::move(own);
    newer = &document;
  }
  return list;
}

Result<History> full_history(const Json& compact, std::string_view where) {
  if (!compact.is_array() || compact.get_array().empty() ||
      compact.get_array().size() > kMostRevisions) {
    return bad_input("the revisions are not readable", std::string(where));
  }
  History history;
  Json document;
  for (const Json& entry : compact.get_array()) {
    if (const Json* spec = find(entry, "spec")) document = *spec;
    if (const Json* edits = find(entry, "edits"); edits != nullptr && edits->is_array()) {
      for (const Json& change : edits->get_array()) BUNDLE_CHECK(edit(change, document, where));
    }
    Revision revision;
    BUNDLE_TRY(revision.number, get_int(entry, "number", where));
    BUNDLE_TRY(revision.created, get_int(entry, "created", where));
    BUNDLE_TRY(revision.spec, DeploymentSpec::from_json(document, where));
    history.revisions.insert(history.revisions.begin(), std::move(revision));
  }
  return history;
}

JsonObject record_values(const StackRecord& record) {
  const Revision& current = record.history.current();
  return {{"format", kFormat},
          {"bundle", current.spec.bundle},
          {"digest", current.spec.digest},
          {"revision", current.number},
          {"template", record.template_sha256},
          {"history", base64_encode(print_json(compact_history(record.history)))}};
}

Result<StackRecord> read_record(std::string_view template_body, std::string_view where) {
  const std::string format = metadata_line(template_body, "format");
  if (format.empty()) {
    return bad_input("the stack's template does not say its revisions", std::string(where),
                     "Another tool replaced the template: 'bundle delete' ends the stack.");
  }
  if (format != std::to_string(kFormat)) {
    return bad_input("format " + format + " is not known", std::string(where),
                     "A newer bundle wrote it; use that one.");
  }
  StackRecord record;
  record.template_sha256 = metadata_line(template_body, "template");
  BUNDLE_TRY(const std::string text, base64_decode(metadata_line(template_body, "history"), where));
  BUNDLE_TRY(const Json compact, parse_json(text, where));
  BUNDLE_TRY(record.history, full_history(compact, where));
  return record;
}

}  // namespace bundle::cloud
