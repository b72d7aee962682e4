#include "packager/signing/model_statement.h"

#include <algorithm>
#include <map>
#include <set>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"

namespace bundle::packager::signing {
namespace {

constexpr std::string_view kInTotoType = "https://in-toto.io/Statement/v1";
constexpr std::size_t kMostFiles = 100'000;

Error refuse(const std::string& what, const std::string& where) {
  return bad_input("the signature's statement is not acceptable: " + what, where);
}

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  for (std::size_t slash; (slash = path.find('/')) != std::string_view::npos;) {
    parts.push_back(path.substr(0, slash));
    path.remove_prefix(slash + 1);
  }
  parts.push_back(path);
  return parts;
}

/// "." alone names the model that is a single file.
bool is_canonical(std::string_view name) {
  if (name == ".") return true;
  if (!is_valid_utf8(name) || name.find('\0') != std::string_view::npos) return false;
  return std::ranges::none_of(parts_of(name), [](std::string_view part) {
    return part.empty() || part == "." || part == "..";
  });
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool is_sha256(std::string_view hex) {
  return hex.size() == 64 && std::ranges::all_of(hex, [](char c) { return hex_value(c) >= 0; });
}

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

/// SHA-256 over the raw digests, in the order listed: the subject's digest.
std::string root_digest(const std::vector<SignedFile>& files) {
  Sha256 hash;
  for (const SignedFile& file : files) {
    std::string raw;
    for (std::size_t i = 0; i < file.sha256.size(); i += 2) {
      raw += static_cast<char>(hex_value(file.sha256[i]) * 16 + hex_value(file.sha256[i + 1]));
    }
    hash.update(as_bytes(raw));
  }
  return hash.hex();
}

Result<SignedFile> read_resource(const Json& value, const std::string& where) {
  SignedFile file;
  BUNDLE_TRY(file.name, get_string(value, "name", where));
  BUNDLE_TRY(const std::string algorithm, get_string(value, "algorithm", where));
  BUNDLE_TRY(std::string digest, get_string(value, "digest", where));
  if (algorithm != "sha256") return refuse("a file is not hashed with sha256", where);
  file.sha256 = lower_case(std::move(digest));
  if (!is_sha256(file.sha256)) return refuse("a digest is not 64 hex digits", where);
  if (!is_canonical(file.name)) return refuse("a file's name is not canonical", where);
  return file;
}

Result<std::vector<SignedFile>> read_resources(const Json& predicate, const std::string& where) {
  const Json* resources = find(predicate, "resources");
  if (resources == nullptr || !resources->is_array() || resources->get_array().empty()) {
    return refuse("it signs no file", where);
  }
  if (resources->get_array().size() > kMostFiles) return refuse("it has too many files", where);
  std::vector<SignedFile> files;
  std::set<std::string> names;
  for (const Json& value : resources->get_array()) {
    BUNDLE_TRY(SignedFile file, read_resource(value, where));
    if (!names.insert(file.name).second) return refuse("a file is named twice", where);
    files.push_back(std::move(file));
  }
  return files;
}

/// Version-control files, and one more that is taken to be the signature itself.
Status check_ignored(const std::vector<std::string>& ignored, const std::vector<SignedFile>& files,
                     const std::string& where) {
  std::vector<std::string> others;
  for (const std::string& path : ignored) {
    if (!is_canonical(path)) return refuse("an ignored path is not canonical", where);
    const bool is_usual =
        std::ranges::find(ignored_by_default(), path) != ignored_by_default().end();
    const bool is_signed = std::ranges::find(files, path, &SignedFile::name) != files.end();
    if (is_signed) return refuse("it both signs and ignores '" + path + "'", where);
    if (!is_usual) others.push_back(path);
  }
  if (others.size() > 1) {
    return refuse("it leaves out '" + others[0] + "' and '" + others[1] +
                      "'; only the signature's own file may be left out",
                  where);
  }
  return {};
}

Result<std::vector<std::string>> read_ignored(const Json& serialization, const std::string& where) {
  std::vector<std::string> ignored;
  const Json* paths = find(serialization, "ignore_paths");
  if (paths == nullptr || paths->is_null()) return ignored;
  if (!paths->is_array()) return refuse("'ignore_paths' is no list", where);
  for (const Json& path : paths->get_array()) {
    if (!path.is_string()) return refuse("an ignored path is no text", where);
    ignored.emplace_back(path.get_string());
  }
  return ignored;
}

Status check_serialization(const Json& serialization, const std::string& where) {
  BUNDLE_TRY(const std::string method, get_string(serialization, "method", where));
  BUNDLE_TRY(const std::string hash, get_string(serialization, "hash_type", where));
  BUNDLE_TRY(const bool links, get_bool_or(serialization, "allow_symlinks", false, where));
  if (method != "files" || hash != "sha256") {
    return refuse("it hashes with '" + method + "' and '" + hash + "', not 'files' and 'sha256'",
                  where);
  }
  if (links) return refuse("it allows symbolic links", where);
  return {};
}

/// Name and digest of the one subject.
Result<SignedFile> read_subject(const Json& document, const std::string& where) {
  const Json* subjects = find(document, "subject");
  if (subjects == nullptr || !subjects->is_array() || subjects->get_array().size() != 1) {
    return refuse("it does not have exactly one subject", where);
  }
  const Json& subject = subjects->get_array()[0];
  const Json* digests = find(subject, "digest");
  if (digests == nullptr) return refuse("its subject has no digest", where);
  SignedFile read;
  BUNDLE_TRY(read.name, get_string_or(subject, "name", "", where));
  BUNDLE_TRY(std::string digest, get_string(*digests, "sha256", where));
  read.sha256 = lower_case(std::move(digest));
  return read;
}

Status read_bundle_member(const Json& predicate, ModelStatement& statement,
                          const std::string& where) {
  const Json* bundle = find(predicate, "bundle");
  if (bundle == nullptr) return {};
  BUNDLE_TRY(statement.bundle_digest, get_string(*bundle, "digest", where));
  BUNDLE_TRY(statement.content_digest, get_string(*bundle, "content_digest", where));
  return {};
}

std::map<std::string, std::string> by_name(const std::vector<SignedFile>& files) {
  std::map<std::string, std::string> map;
  for (const SignedFile& file : files) map[file.name] = file.sha256;
  return map;
}

Result<std::string> hash_file(const Path& path, const std::string& name, const Progress& progress) {
  BUNDLE_TRY(const MappedFile map, MappedFile::open(path));
  constexpr std::size_t kPiece = 4u << 20;
  Sha256 hash;
  for (std::size_t done = 0; done < map.bytes().size();) {
    const Bytes piece = map.bytes().subspan(done, std::min(kPiece, map.bytes().size() - done));
    hash.update(piece);
    map.drop(piece);
    done += piece.size();
    if (progress && !progress("hashing " + name, done, map.bytes().size())) {
      return Error{ErrorCode::kInterrupted, "hashing was stopped", path.string()};
    }
  }
  return hash.hex();
}

class FolderHasher {
 public:
  FolderHasher(const std::vector<std::string>& ignored, const Progress& progress)
      : ignored_(ignored), progress_(progress) {}

  Status add(const Path& folder, const std::string& prefix, int depth) {
    if (depth > 64) return bad_input("folders are nested too deeply", folder.string());
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      const std::string name = prefix + entry.path().filename().string();
      if (std::ranges::find(ignored_, name) != ignored_.end()) continue;
      BUNDLE_CHECK(add_entry(entry, name, depth));
    }
    if (error) return failed("cannot list the folder: " + error.message(), folder.string());
    return {};
  }

  std::vector<SignedFile> files;

 private:
  Status add_entry(const std::filesystem::directory_entry& entry, const std::string& name,
                   int depth) {
    std::error_code error;
    const std::string where = entry.path().string();
    if (!is_valid_utf8(name)) return bad_input("a name is not valid UTF-8", where);
    if (entry.is_symlink(error)) {
      return bad_input("a symbolic link cannot be signed", where, "Put the file itself there.");
    }
    if (entry.is_directory(error)) return add(entry.path(), name + '/', depth + 1);
    if (!entry.is_regular_file(error)) return bad_input("neither a file nor a folder", where);
    if (files.size() == kMostFiles) return bad_input("the folder has too many files", where);
    BUNDLE_TRY(std::string sha256, hash_file(entry.path(), name, progress_));
    files.push_back({name, std::move(sha256)});
    return {};
  }

  const std::vector<std::string>& ignored_;
  const Progress& progress_;
};

}  // namespace

const std::vector<std::string>& ignored_by_default() {
  static const std::vector<std::string> names = {".git", ".gitattributes", ".github", ".gitignore"};
  return names;
}

void sort_files(std::vector<SignedFile>& files) {
  std::ranges::sort(files, [](const SignedFile& a, const SignedFile& b) {
    return std::ranges::lexicographical_compare(parts_of(a.name), parts_of(b.name));
  });
}

std::string write_statement(const ModelStatement& statement) {
  JsonArray resources;
  for (const SignedFile& file : statement.files) {
    resources.push_back(
        JsonObject{{"name", file.name}, {"algorithm", "sha256"}, {"digest", file.sha256}});
  }
  JsonArray ignored;
  for (const std::string& path : statement.ignored) ignored.emplace_back(path);
  JsonObject predicate{{"serialization", JsonObject{{"method", "files"},
                                                    {"hash_type", "sha256"},
                                                    {"allow_symlinks", false},
                                                    {"ignore_paths", std::move(ignored)}}},
                       {"resources", std::move(resources)}};
  if (!statement.bundle_digest.empty()) {
    predicate["bundle"] = JsonObject{{"digest", statement.bundle_digest},
                                     {"content_digest", statement.content_digest}};
  }
  JsonObject subject{{"name", statement.subject},
                     {"digest", JsonObject{{"sha256", root_digest(statement.files)}}}};
  return print_json(JsonObject{{"_type", kInTotoType},
                               {"subject", JsonArray{std::move(subject)}},
                               {"predicateType", kPredicateType},
                               {"predicate", std::move(predicate)}});
}

Result<ModelStatement> read_statement(std::string_view payload, const std::string& where) {
  BUNDLE_TRY(const Json document, parse_json(payload, where));
  BUNDLE_TRY(const std::string type, get_string(document, "_type", where));
  if (type != kInTotoType) return refuse("it is no in-toto statement of version 1", where);
  BUNDLE_TRY(const std::string predicate_type, get_string(document, "predicateType", where));
  if (predicate_type != kPredicateType) {
    return refuse("its predicate is '" + predicate_type + "', not model signing 1.0", where);
  }
  const Json* predicate = find(document, "predicate");
  const Json* serialization = predicate == nullptr ? nullptr : find(*predicate, "serialization");
  if (serialization == nullptr) return refuse("it does not say how files are hashed", where);
  ModelStatement statement;
  BUNDLE_CHECK(check_serialization(*serialization, where));
  BUNDLE_TRY(statement.files, read_resources(*predicate, where));
  BUNDLE_TRY(statement.ignored, read_ignored(*serialization, where));
  BUNDLE_CHECK(check_ignored(statement.ignored, statement.files, where));
  BUNDLE_TRY(const SignedFile subject, read_subject(document, where));
  if (subject.sha256 != root_digest(statement.files)) {
    return refuse("its subject's digest is not that of its files", where);
  }
  statement.subject = subject.name;
  BUNDLE_CHECK(read_bundle_member(*predicate, statement, where));
  sort_files(statement.files);
  return statement;
}

Status compare_files(const ModelStatement& statement, std::vector<SignedFile> files) {
  const auto is_signed = by_name(statement.files);
  const auto present = by_name(files);
  std::vector<std::string> wrong;
  for (const auto& [name, sha256] : present) {
    const auto found = is_signed.find(name);
    if (found == is_signed.end())
      wrong.push_back("'" + name + "' is not signed");
    else if (found->second != sha256)
      wrong.push_back("'" + name + "' is another file");
  }
  for (const auto& [name, unused] : is_signed) {
    if (!present.contains(name)) wrong.push_back("'" + name + "' is missing");
  }
  if (wrong.empty()) return {};
  std::string text;
  for (std::size_t i = 0; i < wrong.size() && i < 5; ++i) text += (i == 0 ? "" : ", ") + wrong[i];
  if (wrong.size() > 5) text += ", and " + std::to_string(wrong.size() - 5) + " more";
  return bad_input("the files are not those that were signed: " + text);
}

Result<std::vector<SignedFile>> hash_folder(const Path& folder,
                                            const std::vector<std::string>& ignored,
                                            const Progress& progress) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(folder, error);
  if (!std::filesystem::exists(status)) return not_found("no such model", folder.string());
  if (std::filesystem::is_regular_file(status)) {
    BUNDLE_TRY(std::string sha256, hash_file(folder, folder.filename().string(), progress));
    return std::vector<SignedFile>{{".", std::move(sha256)}};
  }
  if (!std::filesystem::is_directory(folder, error)) {
    return bad_input("neither a file nor a folder", folder.string());
  }
  FolderHasher hasher(ignored, progress);
  BUNDLE_CHECK(hasher.add(folder, "", 0));
  sort_files(hasher.files);
  return std::move(hasher.files);
}

}  // namespace bundle::packager::signing
