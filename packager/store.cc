#include "packager/store.h"

#include <algorithm>

#include "base/text.h"
#include "packager/garbage.h"
#include "packager/store_files.h"
#include "packager/store_index.h"
#include "packager/stored_bundle.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kShortestPrefix = 6;

std::string full_name(const IndexEntry& entry) {
  if (!entry.tag.empty()) return entry.name + ':' + entry.tag;
  return entry.name + '@' + entry.descriptor.digest;
}

std::vector<IndexEntry> bundles_of(std::vector<IndexEntry> entries) {
  std::erase_if(entries, [](const IndexEntry& entry) { return !entry.is_bundle(); });
  return entries;
}

/// The hex digits that the text begins a digest with, or "".
std::string_view digest_prefix(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  const bool is_hex = text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  return is_hex && text.size() >= kShortestPrefix && text.size() <= 64 ? text : "";
}

Error no_bundle(std::string_view text, const std::vector<IndexEntry>& bundles) {
  std::vector<std::string> names;
  for (const IndexEntry& entry : bundles) {
    names.push_back(entry.name);
    if (!entry.tag.empty()) names.push_back(full_name(entry));
  }
  std::string remedy = "'bundle list' shows what there is.";
  if (bundles.empty()) remedy = "The store is empty; 'bundle build' makes a bundle.";
  if (const auto near = nearest(text, names); !near.empty()) {
    remedy = "Did you mean '" + near + "'?";
  }
  return not_found("there is no bundle '" + std::string(text) + "' in the store", "", remedy);
}

/// The entries that a name with or without tag means. A name alone is its latest, or its only one.
std::vector<IndexEntry> by_name(const Reference& reference,
                                const std::vector<IndexEntry>& bundles) {
  std::vector<IndexEntry> tagged;
  for (const IndexEntry& entry : bundles) {
    if (entry.name != reference.name || entry.tag.empty()) continue;
    const std::string wanted = reference.tag.empty() ? std::string(kDefaultTag) : reference.tag;
    if (entry.tag == wanted) return {entry};
    tagged.push_back(entry);
  }
  return reference.tag.empty() ? tagged : std::vector<IndexEntry>();
}

std::vector<IndexEntry> by_digest(std::string_view prefix, std::string_view name,
                                  const std::vector<IndexEntry>& bundles) {
  std::vector<IndexEntry> found;
  for (const IndexEntry& entry : bundles) {
    const bool is_named = name.empty() || entry.name == name;
    if (is_named && std::string_view(entry.descriptor.digest).substr(7).starts_with(prefix)) {
      found.push_back(entry);
    }
  }
  return found;
}

bool is_one_bundle(const std::vector<IndexEntry>& entries) {
  return std::ranges::all_of(entries, [&](const IndexEntry& entry) {
    return entry.descriptor.digest == entries.front().descriptor.digest;
  });
}

/// All entries that a reference means; more than one only for tags of the same bundle.
Result<std::vector<IndexEntry>> match(std::string_view text,
                                      const std::vector<IndexEntry>& bundles) {
  std::vector<IndexEntry> found;
  const auto reference = parse_reference(text);
  if (reference && !reference->digest.empty()) {
    found = by_digest(std::string_view(reference->digest).substr(7), reference->name, bundles);
  } else if (reference) {
    found = by_name(*reference, bundles);
  }
  const std::string_view prefix = digest_prefix(text);
  if (found.empty() && !prefix.empty()) found = by_digest(prefix, "", bundles);
  if (found.empty() && !reference && prefix.empty()) return reference.error();
  if (found.empty()) return no_bundle(text, bundles);
  if (!is_one_bundle(found)) {
    std::string names;
    for (const IndexEntry& entry : found) names += (names.empty() ? "" : ", ") + full_name(entry);
    return Error{ErrorCode::kUsage, "'" + std::string(text) + "' may mean " + names, "",
                 "Name one of them."};
  }
  return found;
}

/// What `rm` forgets: one tag, or with a digest all tags of that bundle.
bool names_one_tag(std::string_view text, const std::vector<IndexEntry>& found) {
  const auto reference = parse_reference(text);
  return reference && reference->digest.empty() && reference->name == found.front().name;
}

}  // namespace

const char* role_name(LayerRole role) {
  switch (role) {
    case LayerRole::kWeights:
      return "weights";
    case LayerRole::kConfig:
      return "config";
    case LayerRole::kShell:
      return "shell";
    case LayerRole::kRuntime:
      return "runtime";
  }
  return "";
}

Result<Store> Store::open() { return open(bundle_home() / "store"); }

Result<Store> Store::open(Path root) {
  std::error_code error;
  if (std::filesystem::exists(root, error) && !std::filesystem::is_directory(root, error)) {
    return bad_input("the store is no folder", root.string(), "Set BUNDLE_HOME to a folder.");
  }
  clear_temporaries(StorePaths{root});
  return Store(std::move(root));
}

Path Store::blob_path(std::string_view digest) const { return StorePaths{root_}.blob(digest); }

Result<std::vector<BundleSummary>> Store::list() const {
  const StorePaths paths{root_};
  BUNDLE_TRY(const std::vector<IndexEntry> entries, read_index(paths));
  std::vector<BundleSummary> summaries;
  for (const IndexEntry& entry : bundles_of(entries)) summaries.push_back(summarize(paths, entry));
  return summaries;
}

Result<FoundBundle> Store::find(std::string_view reference) const {
  BUNDLE_TRY(std::vector<IndexEntry> entries, read_index(StorePaths{root_}));
  BUNDLE_TRY(const auto found, match(reference, bundles_of(std::move(entries))));
  return FoundBundle{found.front().name, found.front().tag, found.front().descriptor.digest};
}

Result<StoredBundle> Store::resolve(std::string_view reference) const {
  const StorePaths paths{root_};
  BUNDLE_TRY(std::vector<IndexEntry> entries, read_index(paths));
  BUNDLE_TRY(const auto found, match(reference, bundles_of(std::move(entries))));
  return load_bundle(paths, found.front());
}

Result<RemoveReport> Store::remove(std::string_view reference) {
  const StorePaths paths{root_};
  BUNDLE_TRY(std::vector<IndexEntry> entries, read_index(paths));
  BUNDLE_TRY(const auto found, match(reference, bundles_of(std::move(entries))));
  const bool is_tag = names_one_tag(reference, found);
  BUNDLE_TRY(auto untagged, drop_entries(paths, [&](const IndexEntry& entry) {
               if (entry.descriptor.digest != found.front().descriptor.digest) return false;
               return !is_tag ||
                      (entry.name == found.front().name && entry.tag == found.front().tag);
             }));
  auto collected = collect_blobs();
  if (!collected && collected.error().code != ErrorCode::kBadInput) return collected;
  RemoveReport report;
  if (collected) {
    report = *std::move(collected);
  } else {
    report.blocked = collected.error().message();
  }
  report.untagged = std::move(untagged);
  return report;
}

Result<RemoveReport> Store::gc() {
  const StorePaths paths{root_};
  std::error_code error;
  if (!std::filesystem::exists(paths.own(), error)) return RemoveReport{};
  BUNDLE_CHECK(drop_entries(paths, [](const IndexEntry& entry) { return entry.tag.empty(); }));
  return collect_garbage(paths, true);
}

Result<RemoveReport> Store::collect_blobs() { return collect_garbage(StorePaths{root_}, false); }

Result<std::string> Store::read_blob(const Descriptor& blob, std::uint64_t cap) const {
  return read_checked_blob(StorePaths{root_}, blob, cap);
}

}  // namespace bundle::packager
