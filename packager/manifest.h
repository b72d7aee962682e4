// bundle.yaml: what a person writes to say which model becomes a bundle and how it is served. One
// table of keys (manifest.cc) drives parsing, `--set`, the JSON Schema and the reference page, so
// they cannot disagree.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"

namespace bundle::packager {

/// A checked bundle.yaml. Absent keys are empty. A value.
struct Manifest {
  std::string name;         // OCI-valid, lower case; "" when the source is to give it
  std::string version;      // becomes the tag; "" means "latest"
  std::string model_where;  // its place, FILE:LINE:COLUMN, for errors
  std::string model;        // "./dir", "file.gguf"; relative to bundle.yaml's folder
  std::string quantize;     // "q8_0", …: what the weights become in the bundle; "": as published
  std::string description;
  std::string license;               // SPDX expression
  std::vector<std::string> include;  // globs over file names; empty: the usual files
  std::vector<std::string> exclude;
  JsonObject runtime;  // keys as runtime/launch/contract.h lists; chat_template is path or text
  JsonObject resources;
  JsonObject scaling;
  std::map<std::string, std::string> env;
  std::vector<std::string> secrets;  // names of environment variables, never values
  std::map<std::string, std::string> labels;
};

/// Parses and checks the text. Refused with `where:line:column`: an unknown key (with the nearest
/// known one), a key twice, an anchor or alias, a tag, a second document, a value of the wrong type
/// or out of range, invalid UTF-8.
Result<Manifest> parse_manifest(std::string_view text, std::string_view where);

/// Reads and parses a file of at most 1 MiB.
Result<Manifest> read_manifest(const Path& file);

/// `--set`: applies "runtime.context_length=4096" to a document of bundle.yaml's shape. The value
/// is read as the table says the key's type is. kUsage for an unknown path or a bad value.
Status apply_setting(JsonObject& document, std::string_view assignment);

/// JSON Schema (draft 2020-12) of bundle.yaml.
Json manifest_schema();

/// The reference page of bundle.yaml's keys, as Markdown.
std::string manifest_reference();

/// A name as OCI repositories allow it: lower-case letters and digits in parts that '.', '_', '-'
/// and '/' separate, at most 128 bytes.
bool is_valid_name(std::string_view name);

/// "SmolLM2 135M Instruct" -> "smollm2-135m-instruct"; "" when nothing valid is left.
std::string normalized_name(std::string_view text);

}  // namespace bundle::packager
