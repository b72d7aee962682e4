#include "packager/store_index.h"

#include <algorithm>
#include <functional>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "packager/oci.h"

namespace bundle::packager {
namespace {

constexpr std::uint64_t kMostIndexBytes = 16u << 20;
constexpr std::string_view kVariantTags[] = {"-cpu", "-cuda", "-modelpack"};

Error damaged(Error error) {
  if (error.remedy.empty()) {
    error.remedy = "The store's index is damaged: restore index.json, or move the store away.";
  }
  return error;
}

Result<IndexEntry> read_entry(const Json& value, const std::string& where) {
  IndexEntry entry;
  BUNDLE_TRY(entry.descriptor, oci::read_descriptor(value, where));
  entry.document = value;
  entry.variant = oci::annotation(value, oci::kVariant);
  if (const std::string subject = oci::annotation(value, oci::kSubject);
      is_valid_digest(subject) && entry.descriptor.media_type == oci::kManifestType) {
    entry.subject = subject;
    return entry;
  }
  const std::string ref_name = oci::annotation(value, oci::kRefName);
  const bool is_ours = entry.descriptor.media_type == oci::kIndexType || !entry.variant.empty();
  if (!is_ours) return entry;
  if (const auto reference = parse_reference(ref_name); reference && !reference->tag.empty()) {
    entry.name = reference->name;
    entry.tag = reference->tag;
  } else if (const std::string name = oci::annotation(value, oci::kName); !name.empty()) {
    if (parse_reference(name)) entry.name = name;
  }
  return entry;
}

Status write_index(const StorePaths& paths, const std::vector<IndexEntry>& entries) {
  JsonArray manifests;
  for (const IndexEntry& entry : entries) manifests.push_back(entry.document);
  const Json index = {
      {"schemaVersion", 2}, {"mediaType", oci::kIndexType}, {"manifests", std::move(manifests)}};
  return replace_file(paths, paths.index(), pretty_json(index));
}

IndexEntry make_entry(const Descriptor& descriptor, const std::string& name, const std::string& tag,
                      const std::string& variant) {
  JsonObject annotations;
  if (tag.empty()) {
    annotations[oci::kName] = name;
  } else {
    annotations[oci::kRefName] = name + ':' + tag;
  }
  if (!variant.empty()) annotations[oci::kVariant] = variant;
  JsonObject document = oci::to_json(descriptor);
  document["annotations"] = std::move(annotations);
  return {descriptor, name, tag, variant, "", std::move(document)};
}

std::string variant_tag(const std::string& tag, const std::string& variant) {
  return tag + '-' + variant;
}

/// Takes the entries of one tag out; gives the bundle that it pointed at, if any.
std::optional<Descriptor> take_tag(std::vector<IndexEntry>& entries, const std::string& name,
                                   const std::string& tag) {
  std::optional<Descriptor> bundle;
  std::erase_if(entries, [&](const IndexEntry& entry) {
    if (entry.name != name || entry.tag.empty()) return false;
    if (entry.is_bundle()) {
      if (entry.tag == tag) bundle = entry.descriptor;
      return entry.tag == tag;
    }
    return entry.tag == variant_tag(tag, entry.variant);
  });
  return bundle;
}

bool has_bundle(const std::vector<IndexEntry>& entries, const std::string& digest) {
  return std::ranges::any_of(entries, [&](const IndexEntry& entry) {
    return entry.is_bundle() && entry.descriptor.digest == digest;
  });
}

void add_tag(std::vector<IndexEntry>& entries, const std::string& name, const std::string& tag,
             const Descriptor& bundle, const std::vector<Variant>& variants) {
  const auto old = take_tag(entries, name, tag);
  // The new tag stands for what was a bundle without one.
  std::erase_if(entries, [&](const IndexEntry& entry) {
    return entry.is_bundle() && entry.tag.empty() && entry.descriptor.digest == bundle.digest;
  });
  entries.push_back(make_entry(bundle, name, tag, ""));
  for (const Variant& variant : variants) {
    entries.push_back(
        make_entry(variant.manifest, name, variant_tag(tag, variant.name), variant.name));
  }
  if (old && !has_bundle(entries, old->digest)) entries.push_back(make_entry(*old, name, "", ""));
  std::ranges::stable_sort(entries, {}, [](const IndexEntry& entry) {
    return std::tuple(entry.name, entry.tag, entry.descriptor.digest);
  });
}

}  // namespace

bool is_variant_tag(std::string_view tag) {
  return std::ranges::any_of(kVariantTags, [&](auto suffix) { return tag.ends_with(suffix); });
}

Status check_has_index(const StorePaths& paths) {
  std::error_code error;
  const bool lost = std::filesystem::exists(paths.layout(), error) &&
                    !std::filesystem::exists(paths.index(), error);
  if (!lost) return {};
  return damaged(bad_input("the store's index is not there", paths.index().string()));
}

Result<std::vector<IndexEntry>> read_index(const StorePaths& paths) {
  std::vector<IndexEntry> entries;
  auto text = read_file(paths.index(), kMostIndexBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) {
    BUNDLE_CHECK(check_has_index(paths));
    return entries;
  }
  if (!text) return damaged(std::move(text).error());
  const std::string where = paths.index().string();
  auto index = parse_json(*text, where);
  if (!index) return damaged(std::move(index).error());
  const Json* manifests = find(*index, "manifests");
  if (manifests == nullptr || !manifests->is_array()) {
    return damaged(bad_input("'manifests' is not a list", where));
  }
  for (const Json& value : manifests->get_array()) {
    auto entry = read_entry(value, where);
    if (!entry) return damaged(std::move(entry).error());
    entries.push_back(*std::move(entry));
  }
  return entries;
}

Status tag_bundle(const StorePaths& paths, const std::string& name, const std::string& tag,
                  const Descriptor& bundle, const std::vector<Variant>& variants) {
  BUNDLE_TRY(const FileLock lock, FileLock::exclusive(paths.index_lock()));
  BUNDLE_TRY(std::vector<IndexEntry> entries, read_index(paths));
  add_tag(entries, name, tag, bundle, variants);
  return write_index(paths, entries);
}

Result<std::vector<std::string>> drop_entries(
    const StorePaths& paths, const std::function<bool(const IndexEntry&)>& is_doomed) {
  BUNDLE_TRY(const FileLock lock, FileLock::exclusive(paths.index_lock()));
  BUNDLE_TRY(std::vector<IndexEntry> entries, read_index(paths));
  std::vector<IndexEntry> doomed;
  std::ranges::copy_if(entries, std::back_inserter(doomed), [&](const IndexEntry& entry) {
    return entry.is_bundle() && is_doomed(entry);
  });
  std::vector<std::string> tags;
  for (const IndexEntry& entry : doomed) {
    if (!entry.tag.empty()) {
      take_tag(entries, entry.name, entry.tag);
      tags.push_back(entry.name + ':' + entry.tag);
    } else {
      std::erase_if(entries, [&](const IndexEntry& other) {
        return other.is_bundle() && other.tag.empty() && other.descriptor == entry.descriptor;
      });
    }
  }
  if (!doomed.empty()) BUNDLE_CHECK(write_index(paths, entries));
  return tags;
}

Status list_in_index(const StorePaths& paths, const Descriptor& manifest,
                     const std::string& subject, const std::string& artifact_type) {
  BUNDLE_TRY(const FileLock lock, FileLock::exclusive(paths.index_lock()));
  BUNDLE_TRY(std::vector<IndexEntry> entries, read_index(paths));
  const bool is_listed = std::ranges::any_of(entries, [&](const IndexEntry& entry) {
    return entry.descriptor.digest == manifest.digest && entry.subject == subject;
  });
  if (is_listed) return {};
  JsonObject document = oci::to_json(manifest);
  document["annotations"] =
      JsonObject{{oci::kSubject, subject}, {oci::kArtifactType, artifact_type}};
  entries.push_back({manifest, "", "", "", subject, std::move(document)});
  return write_index(paths, entries);
}

Status drop_from_index(const StorePaths& paths,
                       const std::function<bool(const IndexEntry&)>& is_doomed) {
  BUNDLE_TRY(const FileLock lock, FileLock::exclusive(paths.index_lock()));
  BUNDLE_TRY(std::vector<IndexEntry> entries, read_index(paths));
  const std::size_t dropped = std::erase_if(
      entries, [&](const IndexEntry& entry) { return !entry.is_bundle() && is_doomed(entry); });
  return dropped == 0 ? Status() : write_index(paths, entries);
}

}  // namespace bundle::packager
