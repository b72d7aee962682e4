// Where a model's files lie: a store blob at an offset, a folder, or one file. Nothing above this
// header knows which.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"

namespace bundle::format {

/// One file of a model: `name` as published ("config.json", "model-00001-of-00002.safetensors"),
/// and the byte range of a file on this host that holds it.
struct SourceFile {
  std::string name;
  Path path;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::string sha256 = {};  // 64 hex digits, or empty when not known

  bool operator==(const SourceFile&) const = default;
};

/// The files of one model, sorted by name. A value; thread-safe when const.
class ModelSource {
 public:
  ModelSource() = default;
  explicit ModelSource(std::vector<SourceFile> files);

  /// Every regular file directly in a folder, or the one file `path` names (a .gguf, and for
  /// "…-00001-of-000NN.gguf" its siblings). An error when there is none.
  static Result<ModelSource> open(const Path& path);

  /// From the form that to_json writes: [{"name","path","offset","length","sha256"}].
  static Result<ModelSource> from_json(const Json& value, std::string_view where);
  Json to_json() const;

  const std::vector<SourceFile>& files() const { return files_; }
  /// Null when there is no such file.
  const SourceFile* find(std::string_view name) const;

  /// Maps one file. kNotFound when there is none of that name.
  Result<MappedFile> map(std::string_view name) const;
  /// Reads one small file whole. kNotFound when there is none of that name.
  Result<std::string> read(std::string_view name, std::uint64_t cap = 64u << 20) const;

 private:
  std::vector<SourceFile> files_;
};

}  // namespace bundle::format
