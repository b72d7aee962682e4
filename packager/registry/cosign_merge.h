// cosign keeps all signatures of a manifest as layers of one manifest under one tag: a push must
// not take away those that others have put there.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bundle::packager::registry {

/// A manifest that holds the signatures of two, and its config.
struct MergedSignatures {
  std::string config;
  std::string manifest;
};

/// `theirs` is the manifest that the registry has under the tag, `ours` the one to be put there,
/// with its subject and artifact type. Nothing when ours holds all of theirs already, or theirs is
/// no manifest of signatures. kBadInput when ours is none.
Result<std::optional<MergedSignatures>> merge_signatures(std::string_view theirs,
                                                         std::string_view ours);

}  // namespace bundle::packager::registry
