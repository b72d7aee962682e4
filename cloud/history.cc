#include "cloud/history.h"

#include <ctime>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace bundle::cloud {
namespace {

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kKept = 10;

}  // namespace

Json to_json(const Revision& revision) {
  return JsonObject{{"number", revision.number},
                    {"created", revision.created},
                    {"spec", revision.spec.to_json()}};
}

Result<Revision> revision_from_json(const Json& value, std::string_view where) {
  Revision revision;
  BUNDLE_TRY(revision.number, get_int(value, "number", where));
  BUNDLE_TRY(revision.created, get_int(value, "created", where));
  const Json* spec = find(value, "spec");
  if (spec == nullptr) return bad_input("'spec' is missing", std::string(where));
  BUNDLE_TRY(revision.spec, DeploymentSpec::from_json(*spec, where));
  return revision;
}

bool History::is_current(const DeploymentSpec& spec) const {
  return !revisions.empty() && current().spec.to_json() == spec.to_json();
}

void History::add(const DeploymentSpec& spec) {
  revisions.push_back({number() + 1, std::time(nullptr), spec});
  if (revisions.size() > kKept) revisions.erase(revisions.begin());
}

Result<DeploymentSpec> History::earlier(std::int64_t number) const {
  if (number == 0 && revisions.size() >= 2) return revisions[revisions.size() - 2].spec;
  for (const Revision& known : revisions) {
    if (known.number == number) return known.spec;
  }
  return not_found(number == 0 ? "there is no earlier revision"
                               : "there is no revision " + std::to_string(number),
                   revisions.empty() ? "" : current().spec.name,
                   "'bundle status' lists the revisions.");
}

Json History::to_json() const {
  JsonArray list;
  for (const Revision& revision : revisions) list.push_back(cloud::to_json(revision));
  return JsonObject{{"format", kFormat}, {"pending", pending}, {"revisions", std::move(list)}};
}

Result<History> History::from_json(const Json& value, std::string_view where) {
  BUNDLE_TRY(const std::int64_t format, get_int(value, "format", where));
  if (format != kFormat) {
    return bad_input("format " + std::to_string(format) + " is not known", std::string(where),
                     "A newer bundle wrote it; use that one.");
  }
  History history;
  BUNDLE_TRY(history.pending, get_bool_or(value, "pending", false, where));
  const Json* list = find(value, "revisions");
  if (list == nullptr || !list->is_array() || list->get_array().empty()) {
    return bad_input("'revisions' is missing or empty", std::string(where));
  }
  for (const Json& item : list->get_array()) {
    BUNDLE_TRY(Revision revision, revision_from_json(item, where));
    history.revisions.push_back(std::move(revision));
  }
  return history;
}

}  // namespace bundle::cloud
