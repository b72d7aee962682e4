// The revisions of a deployment, as every target keeps them: in one JSON document on the target.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "cloud/deployment_spec.h"

namespace bundle::cloud {

/// One applied specification. Numbers grow by one and are never used again.
struct Revision {
  std::int64_t number = 0;
  std::int64_t created = 0;  // seconds since 1970
  DeploymentSpec spec;
};

/// A value. The last revision is the one that runs, or that is being applied.
struct History {
  std::vector<Revision> revisions;  // oldest first
  /// An apply was begun and has not ended: it runs now, or it was cut off.
  bool pending = false;

  const Revision& current() const { return revisions.back(); }
  /// The present revision's number, or 0.
  std::int64_t number() const { return revisions.empty() ? 0 : revisions.back().number; }
  bool is_current(const DeploymentSpec& spec) const;
  /// Appends a revision and forgets all but the last ten.
  void add(const DeploymentSpec& spec);
  /// Revision `number`, or with 0 the one before the present. kNotFound when there is none.
  Result<DeploymentSpec> earlier(std::int64_t number) const;

  Json to_json() const;
  static Result<History> from_json(const Json& value, std::string_view where);
};

Json to_json(const Revision& revision);
Result<Revision> revision_from_json(const Json& value, std::string_view where);

}  // namespace bundle::cloud
