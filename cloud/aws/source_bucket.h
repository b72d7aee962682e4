// The tree in S3 that machines start from: the bundle's blobs, the server and launch documents
// under names that their content decides, so that what is there need not be sent again.
#pragma once

#include <cstdint>
#include <string>

#include "base/progress.h"
#include "base/s3_bucket.h"
#include "cloud/aws/aws_api.h"
#include "cloud/systemd/host_form.h"

namespace bundle::cloud {

/// What of a deployment's files is not in the bucket.
struct MissingFiles {
  std::string source;  // s3://BUCKET/PREFIX
  S3Bucket bucket;
  std::vector<std::pair<HostFile, std::string>> files;     // here, and its key
  std::vector<std::pair<std::string, std::string>> texts;  // key and content
  std::uint64_t bytes = 0;
};

/// Lists `source` (s3://BUCKET/PREFIX, checked). kUnreachable, naming the action, where S3 denies
/// it.
Result<MissingFiles> find_missing_files(const AwsAccess& access, const std::string& source,
                                        const HostForm& form);

/// Sends them, files over 64 MiB in parts. Each piece is signed with its hash, which S3 checks. A
/// key appears with its whole content or not at all, so that a stopped upload is gone on with by
/// the next.
Status upload_files(const MissingFiles& missing, const Progress& progress);

}  // namespace bundle::cloud
