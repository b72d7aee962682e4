// What a model signature says (OpenSSF Model Signing v1): one SHA-256 for each file of the model,
// and, in signatures of ours, which bundle the files came in.
//
// The statement is read more strictly than the reference tool reads it: what that tool lets pass
// (a name twice, names that are not canonical, ignored weights, no files at all, older predicates,
// a key twice) would let an attacker say two things with one signature.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "base/result.h"

namespace bundle::packager::signing {

inline constexpr std::string_view kPredicateType = "https://model_signing/signature/v1.0";

struct SignedFile {
  std::string name;    // relative to the model's folder, '/' between parts
  std::string sha256;  // 64 lower-case hex digits

  bool operator==(const SignedFile&) const = default;
};

struct ModelStatement {
  std::string subject;               // the folder's or bundle's name; informative
  std::vector<SignedFile> files;     // sorted by name, part by part
  std::vector<std::string> ignored;  // paths in a folder that are no part of the model
  std::string bundle_digest = {};    // of the OCI index; "" in signatures of plain folders
  std::string content_digest = {};   // of bundle.json
};

/// Sorts as the format asks: by path components.
void sort_files(std::vector<SignedFile>& files);

/// The JSON to sign; files must be sorted.
std::string write_statement(const ModelStatement& statement);

/// Parses a payload whose signature has been checked. kBadInput for everything that is not exactly
/// what the format says, see above.
Result<ModelStatement> read_statement(std::string_view payload, const std::string& where);

/// kBadInput, naming the first files that differ, unless the signed files are exactly these.
Status compare_files(const ModelStatement& statement, std::vector<SignedFile> files);

/// The version-control files that every signer leaves out.
const std::vector<std::string>& ignored_by_default();

/// Hashes every regular file below `folder`, or the one file it names (as "."). Paths in `ignored`
/// are left out. kBadInput for links, for other kinds of files, and for names that are not UTF-8.
Result<std::vector<SignedFile>> hash_folder(const Path& folder,
                                            const std::vector<std::string>& ignored,
                                            const Progress& progress);

}  // namespace bundle::packager::signing
