#include "runtime/format/source.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "runtime/format/gguf_split.h"

namespace bundle::format {
namespace {

namespace fs = std::filesystem;

/// Absolute, because the process that maps the file may have another working folder.
Result<SourceFile> source_file(const Path& path) {
  std::error_code error;
  const std::uint64_t length = fs::file_size(path, error);
  if (error) return failed("cannot get the file's size: " + error.message(), path.string());
  const Path absolute = fs::absolute(path, error);
  if (error) return failed("cannot make the path absolute: " + error.message(), path.string());
  return SourceFile{path.filename().string(), absolute.lexically_normal(), 0, length, {}};
}

Result<std::vector<SourceFile>> folder_files(const Path& folder) {
  std::error_code error;
  fs::directory_iterator at(folder, error);
  std::vector<SourceFile> files;
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    std::error_code ignored;  // a dangling link is no regular file
    if (!at->is_regular_file(ignored)) continue;
    BUNDLE_TRY(SourceFile file, source_file(at->path()));
    files.push_back(std::move(file));
  }
  if (error) return failed("cannot list the folder: " + error.message(), folder.string());
  return files;
}

/// The file itself, and for one part of a split GGUF the others.
Result<std::vector<SourceFile>> file_and_siblings(const Path& path) {
  std::vector<SourceFile> files;
  const auto split = parse_split_name(path.filename().string());
  if (!split) {
    BUNDLE_TRY(SourceFile file, source_file(path));
    files.push_back(std::move(file));
    return files;
  }
  for (int number = 1; number <= split->count; ++number) {
    const Path part = path.parent_path() / split_name(split->prefix, number, split->count);
    std::error_code ignored;
    if (!fs::is_regular_file(part, ignored)) {
      return bad_input("part " + std::to_string(number) + " of " + std::to_string(split->count) +
                           " of the split model is missing",
                       part.string(), "Put all parts into one folder.");
    }
    BUNDLE_TRY(SourceFile file, source_file(part));
    files.push_back(std::move(file));
  }
  return files;
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<SourceFile> file_from_json(const Json& value, std::string_view where) {
  SourceFile file;
  BUNDLE_TRY(file.name, get_string(value, "name", where));
  BUNDLE_TRY(const std::string path, get_string(value, "path", where));
  BUNDLE_TRY(const std::int64_t offset, get_int_or(value, "offset", 0, where));
  BUNDLE_TRY(const std::int64_t length, get_int(value, "length", where));
  BUNDLE_TRY(file.sha256, get_string_or(value, "sha256", "", where));
  const auto refuse = [&](const std::string& what) {
    return bad_input("the source file '" + file.name + "' " + what, std::string(where));
  };
  if (!is_plain_name(file.name)) return refuse("has a name that is no plain file name");
  if (path.empty() || path.find('\0') != std::string::npos) return refuse("has no usable path");
  if (offset < 0 || length < 0) return refuse("has a negative offset or length");
  if (!file.sha256.empty() && !is_sha256(file.sha256)) return refuse("has no valid sha256");
  file.path = path;
  file.offset = static_cast<std::uint64_t>(offset);
  file.length = static_cast<std::uint64_t>(length);
  return file;
}

Error no_such_file(std::string_view name) {
  return not_found("the model has no file '" + std::string(name) + "'");
}

}  // namespace

ModelSource::ModelSource(std::vector<SourceFile> files) : files_(std::move(files)) {
  std::sort(files_.begin(), files_.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.name < b.name; });
}

Result<ModelSource> ModelSource::open(const Path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    return not_found("no such file or folder", path.string());
  }
  if (error) return failed("cannot open it: " + error.message(), path.string());
  if (fs::is_directory(status)) {
    BUNDLE_TRY(std::vector<SourceFile> files, folder_files(path));
    if (files.empty()) return not_found("the folder holds no files", path.string());
    return ModelSource(std::move(files));
  }
  if (!fs::is_regular_file(status)) {
    return bad_input("neither a file nor a folder", path.string());
  }
  BUNDLE_TRY(std::vector<SourceFile> files, file_and_siblings(path));
  return ModelSource(std::move(files));
}

Result<ModelSource> ModelSource::from_json(const Json& value, std::string_view where) {
  const JsonArray* array = value.if_array();
  if (array == nullptr) return bad_input("the model source is not a list", std::string(where));
  std::vector<SourceFile> files;
  std::set<std::string> names;
  for (const Json& item : *array) {
    BUNDLE_TRY(SourceFile file, file_from_json(item, where));
    if (!names.insert(file.name).second) {
      return bad_input("the source file '" + file.name + "' comes twice", std::string(where));
    }
    files.push_back(std::move(file));
  }
  return ModelSource(std::move(files));
}

Json ModelSource::to_json() const {
  JsonArray array;
  for (const SourceFile& file : files_) {
    JsonObject object;
    object["name"] = file.name;
    object["path"] = file.path.string();
    object["offset"] = static_cast<std::int64_t>(file.offset);
    object["length"] = static_cast<std::int64_t>(file.length);
    object["sha256"] = file.sha256;
    array.emplace_back(std::move(object));
  }
  return array;
}

const SourceFile* ModelSource::find(std::string_view name) const {
  const auto at = std::lower_bound(
      files_.begin(), files_.end(), name,
      [](const SourceFile& file, std::string_view key) { return file.name < key; });
  return at == files_.end() || at->name != name ? nullptr : &*at;
}

Result<MappedFile> ModelSource::map(std::string_view name) const {
  const SourceFile* file = find(name);
  if (file == nullptr) return no_such_file(name);
  return MappedFile::open(file->path, file->offset, file->length);
}

Result<std::string> ModelSource::read(std::string_view name, std::uint64_t cap) const {
  const SourceFile* file = find(name);
  if (file == nullptr) return no_such_file(name);
  if (file->length > cap) {
    return bad_input("the file has " + std::to_string(file->length) + " bytes, more than the " +
                         std::to_string(cap) + " that are allowed here",
                     file->path.string());
  }
  BUNDLE_TRY(const MappedFile mapped, map(name));
  return std::string(as_text(mapped.bytes()));
}

}  // namespace bundle::format
