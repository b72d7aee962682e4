// What a stack's template says of the deployment in its Metadata: the revisions, so that any
// machine with access to the account can go on from them.
//
//   Metadata:
//     bundle:
//       format: 1
//       bundle: …     for people
//       digest: …
//       revision: …
//       template: …   SHA-256 of the template without this record
//       history: …    the revisions, JSON in base64: no service rewrites its letters
//
// A template that is handed in with a call may have 51,200 bytes. The newest revision is written
// out, an older one as what it has differently from the next.
#pragma once

#include <string>
#include <string_view>

#include "cloud/history.h"

namespace bundle::cloud {

inline constexpr std::size_t kMostTemplateBytes = 51'200;

struct StackRecord {
  History history;              // not empty
  std::string template_sha256;  // of the template without a record
};

/// The value for the template's Metadata.
JsonObject record_values(const StackRecord& record);

/// Finds and reads the record of a template of ours. kBadInput when it has none, or one that a
/// newer program wrote.
Result<StackRecord> read_record(std::string_view template_body, std::string_view where);

/// Revisions with shared parts said once.
Json compact_history(const History& history);
Result<History> full_history(const Json& compact, std::string_view where);

}  // namespace bundle::cloud
