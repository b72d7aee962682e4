// index.json: the bundles of the store and their tags.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "packager/store.h"
#include "packager/store_files.h"

namespace bundle::packager {

/// One entry. Entries that other tools wrote are kept as they are, and are no bundles.
struct IndexEntry {
  Descriptor descriptor;
  std::string name;
  std::string tag;      // "" for a bundle whose tag has moved on
  std::string variant;  // "" for the bundle itself
  std::string subject;  // of a referrer: the digest that it is about
  Json document;        // as it stands in the file

  bool is_bundle() const { return !name.empty() && variant.empty(); }
};

/// The manifests that a tag names beside the bundle: "cpu" as NAME:TAG-cpu.
struct Variant {
  std::string name;
  Descriptor manifest;
};

/// kBadInput for a store whose index is lost: nothing of it may be taken for garbage.
Status check_has_index(const StorePaths& paths);

/// Empty when there is no index.json yet. kBadInput when it is damaged.
Result<std::vector<IndexEntry>> read_index(const StorePaths& paths);

/// Points NAME:TAG and its variants at a bundle. What the tag pointed at stays, without tag. Takes
/// the index lock.
Status tag_bundle(const StorePaths& paths, const std::string& name, const std::string& tag,
                  const Descriptor& bundle, const std::vector<Variant>& variants);

/// Removes the entries that `is_doomed` names, their variants too, and gives the tags that went.
/// Takes the index lock.
Result<std::vector<std::string>> drop_entries(
    const StorePaths& paths, const std::function<bool(const IndexEntry&)>& is_doomed);

/// Lists a referrer of `subject`, unless it is listed. Takes the index lock.
Status list_in_index(const StorePaths& paths, const Descriptor& manifest,
                     const std::string& subject, const std::string& artifact_type);

/// Removes entries that are no bundles. Takes the index lock.
Status drop_from_index(const StorePaths& paths,
                       const std::function<bool(const IndexEntry&)>& is_doomed);

/// True for a tag that would be taken for a variant of another: "v1-cpu".
bool is_variant_tag(std::string_view tag);

}  // namespace bundle::packager
