// Where a model comes from when it is not on this host.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace bundle::packager::sources {

enum class SourceKind { kHub, kHttps, kS3, kOci };

/// hf://ORG/NAME[@REVISION][/PATH], https://…#sha256=HEX, s3://BUCKET/PREFIX, oci://REGISTRY/NAME.
struct SourceUri {
  SourceKind kind = SourceKind::kHub;
  std::string text;  // as it was written
  std::string
      repository;        // hub: "org/name"; S3: the bucket; https: the address; OCI: the reference
  std::string revision;  // hub: branch, tag or commit; "main" when none was written
  std::string path;      // hub: a folder or file in it, or ""; S3: the prefix
  std::string sha256;    // https: 64 hex digits
};

/// True when the text begins with a scheme of the four, or looks like one ("xyz://").
bool is_source_uri(std::string_view text);

/// kUsage for other schemes and forms, saying which there are.
Result<SourceUri> parse_source_uri(std::string_view text);

}  // namespace bundle::packager::sources
