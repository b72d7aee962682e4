// bundle verify of a deployment: streams are opened, the servers under them are rolled, and each
// stream must come to its own end.
#pragma once

#include <string>

#include "cli/apply.h"
#include "cli/session.h"

namespace bundle::cli {

struct RollArguments {
  std::string through;  // a gateway's address; "": the replicas' own
  std::string api_key_file;
  std::string message = "Tell me about a city that you know.";
  int streams = 4;
  int tokens = 128;  // of each stream
  PlaceArguments place;
  ApplyArguments apply;
};

void add_roll_options(CLI::App& command, RollArguments& arguments);

/// Opens the streams, restarts the present revision as an update would, and waits. The exit code is
/// 1 when a stream was cut, or when a request that came meanwhile through a gateway got no answer.
/// kFailed when no stream lived long enough to show anything.
Result<Outcome> verify_deployment(const std::string& name, const RollArguments& arguments,
                                  const Session& session);

}  // namespace bundle::cli
