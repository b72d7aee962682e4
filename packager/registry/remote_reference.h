// A bundle in a registry: "registry.example.com/team/model:v1", with or without "oci://".
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bundle::packager::registry {

struct RemoteReference {
  std::string registry;    // "registry.example.com", "localhost:5000"
  std::string repository;  // "team/model"
  std::string tag;         // "latest" when neither tag nor digest was written
  std::string digest;      // "" when none was written

  /// What a manifest request asks for: the digest, or else the tag.
  const std::string& target() const { return digest.empty() ? tag : digest; }
  /// "registry.example.com/team/model", as trust policies and signatures name it.
  std::string name() const { return registry + '/' + repository; }
  std::string text() const;
  /// "model": the repository's last part.
  std::string short_name() const;
};

/// kUsage when the text names no registry: its first part must hold a dot or a port, or be
/// localhost.
Result<RemoteReference> parse_remote(std::string_view text);

}  // namespace bundle::packager::registry
