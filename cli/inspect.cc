// bundle inspect: everything about one bundle.
#include "packager/inspect.h"

#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace bundle::cli {
namespace {

bool is_scalar(const Json& value) { return !value.is_object() && !value.is_array(); }

/// A text as it is, unless it could be taken for more than one line.
std::string one_line(std::string_view text) {
  const bool plain = std::ranges::none_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  return plain ? std::string(text) : print_json(Json(text));
}

std::string scalar_text(const Json& value) {
  return value.is_string() ? one_line(value.get_string()) : print_json(value);
}

void append_value(std::string& out, const Json& value, int depth);

void append_member(std::string& out, std::string_view key, const Json& value, int depth) {
  out.append(static_cast<std::size_t>(depth) * 2, ' ').append(one_line(key)).append(":");
  if (is_scalar(value)) {
    out += " " + scalar_text(value) + "\n";
  } else {
    out += "\n";
    append_value(out, value, depth + 1);
  }
}

/// Indented "key: value" lines, lists with dashes: the document for people.
void append_value(std::string& out, const Json& value, int depth) {
  if (const auto* object = value.if_object()) {
    for (const auto& [key, member] : *object) append_member(out, key, member, depth);
    return;
  }
  if (const auto* array = value.if_array()) {
    for (const Json& item : *array) {
      out.append(static_cast<std::size_t>(depth) * 2, ' ').append("- ");
      if (is_scalar(item)) {
        out += scalar_text(item) + "\n";
      } else {
        std::string nested;
        append_value(nested, item, depth + 1);
        out += nested.substr(std::min(nested.size(), static_cast<std::size_t>(depth + 1) * 2));
      }
    }
  }
}

Result<Outcome> inspect(const std::string& reference, bool with_tensors) {
  BUNDLE_TRY(const packager::Store store, packager::Store::open());
  BUNDLE_TRY(const auto bundle, store.resolve(reference));
  Json document = packager::inspect_bundle(bundle);
  BUNDLE_TRY(document.get_object()["referrers"],
             packager::inspect_referrers(packager::StorePaths{store.root()}, bundle));
  if (with_tensors) {
    BUNDLE_TRY(document.get_object()["tensors"], packager::inspect_tensors(bundle));
  }
  std::string text;
  append_value(text, document, 0);
  return Outcome{std::move(document), std::move(text)};
}

}  // namespace

void add_inspect(CLI::App& app, Session& session) {
  auto reference = std::make_shared<std::string>();
  CLI::App* command =
      add_command(app, "inspect", "Show what is in a bundle: model, layers, runtime, digests",
                  "REF is NAME, NAME:TAG, NAME@sha256:DIGEST or the first digits of a digest.\n\n"
                  "Example:\n  bundle inspect smollm2 --output json");
  command->add_option("REF", *reference, "The bundle")->required();
  auto tensors = std::make_shared<bool>(false);
  command->add_flag("--tensors", *tensors, "List every tensor: name, type, shape, bytes");
  on_run(command, session, [reference, tensors] { return inspect(*reference, *tensors); });
}

}  // namespace bundle::cli
