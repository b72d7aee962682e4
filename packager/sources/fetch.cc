#include "packager/sources/fetch.h"

#include <algorithm>
#include <chrono>
#include <openssl/evp.h>
#include <optional>
#include <set>
#include <thread>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/documents.h"
#include "packager/download/range_download.h"
#include "packager/glob.h"
#include "packager/source_files.h"
#include "packager/sources/listing.h"
#include "packager/store_files.h"
#include "packager/tar_layer.h"

namespace bundle::packager::sources {
namespace {

constexpr std::string_view kLock = ".lock";
constexpr std::chrono::milliseconds kLockPause{100};

/// "model-Q4_K_M-00001-of-00002.gguf" -> "model-Q4_K_M": the files of one model have one stem.
std::string stem_of(const std::string& name) {
  std::string stem = name.substr(0, name.size() - 5);
  constexpr std::size_t kSplit = 15;  // "-00001-of-00002"
  if (stem.size() > kSplit && stem[stem.size() - kSplit] == '-' &&
      stem.compare(stem.size() - 9, 4, "-of-") == 0) {
    stem.resize(stem.size() - kSplit);
  }
  return stem;
}

/// What the builder would take of a folder with these files.
Result<std::vector<ListedFile>> select(const Listing& listing, const FetchOptions& options,
                                       const SourceUri& uri) {
  std::vector<ListedFile> chosen;
  bool has_safetensors = false;
  bool has_layers = false;
  for (const ListedFile& file : listing.files) {
    has_layers = has_layers || file.is_layer;
    if (file.is_layer) {
      chosen.push_back(file);
      continue;
    }
    const bool is_wanted =
        options.include.empty() ? is_packable(file.name) : matches_any(file.name, options.include);
    if (!is_wanted || matches_any(file.name, options.exclude)) continue;
    if (const std::string fault = member_path_fault("models/" + file.name); !fault.empty()) {
      return bad_input("a file's name cannot stand in a bundle: " + fault, uri.text);
    }
    has_safetensors = has_safetensors || file.name.ends_with(".safetensors");
    chosen.push_back(file);
  }
  if (has_layers) return chosen;  // a bundle holds one model, and the builder chooses of its files
  std::vector<std::string> names;
  for (const ListedFile& file : listing.files) names.push_back(file.name);
  BUNDLE_CHECK(check_include(options.include, names, uri.text));
  if (has_safetensors) {
    std::erase_if(chosen, [](const ListedFile& file) { return file.name.ends_with(".gguf"); });
    return chosen;
  }
  std::set<std::string> models;
  for (const ListedFile& file : chosen) {
    if (file.name.ends_with(".gguf")) models.insert(stem_of(file.name));
  }
  if (models.empty()) return not_found("there are no weights", uri.text);
  if (models.size() == 1) return chosen;
  std::string list;
  for (const std::string& name : models) list += (list.empty() ? "" : ", ") + name;
  return Error{ErrorCode::kUsage, "there are several models: " + list, uri.text,
               "Name one file, or select with 'include' in bundle.yaml."};
}

std::string hex_of(const unsigned char* digest, unsigned int size) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text += kDigits[digest[i] >> 4];
    text += kDigits[digest[i] & 15];
  }
  return text;
}

/// Hash of a prefix and a file by one of OpenSSL's names.
Result<std::string> hash_file(const Path& path, const char* algorithm, const std::string& prefix) {
  BUNDLE_TRY(const MappedFile map, MappedFile::open(path));
  EVP_MD_CTX* context = ::EVP_MD_CTX_new();
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  ::EVP_DigestInit_ex(context, ::EVP_get_digestbyname(algorithm), nullptr);
  ::EVP_DigestUpdate(context, prefix.data(), prefix.size());
  ::EVP_DigestUpdate(context, map.bytes().data(), map.bytes().size());
  ::EVP_DigestFinal_ex(context, digest, &size);
  ::EVP_MD_CTX_free(context);
  return hex_of(digest, size);
}

/// What the source says of a file that has no SHA-256.
Status check_other_digests(const ListedFile& file, const Path& path) {
  std::string found;
  if (!file.git_sha1.empty()) {
    const std::string header = "blob " + std::to_string(file.size);
    BUNDLE_TRY(found, hash_file(path, "SHA1", header + '\0'));
    if (found == file.git_sha1) return {};
  } else if (!file.md5.empty()) {
    BUNDLE_TRY(found, hash_file(path, "MD5", ""));
    if (found == file.md5) return {};
  } else {
    return {};
  }
  return bad_input("what was downloaded does not have the digest that the source names", file.name,
                   "Run it again; if that does not help, the source is damaged.");
}

class Fetcher {
 public:
  Fetcher(const Listing& listing, std::vector<ListedFile> files, Path folder)
      : listing_(listing), files_(std::move(files)), folder_(std::move(folder)) {}

  Status run(int parallel, const Progress& progress) {
    std::vector<DownloadJob> jobs;
    std::vector<std::size_t> missing;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (is_there(files_[i])) continue;
      missing.push_back(i);
      jobs.push_back({files_[i].name, files_[i].size, files_[i].sha256,
                      folder_ / (".partial-" + files_[i].name)});
    }
    const MakeFetcher make = [&]() -> FetchRange {
      return
          [this, &missing, send = listing_.make_sender()](
              std::size_t job, std::uint64_t offset, std::uint64_t length, const TakeBytes& take) {
            const ListedFile& file = files_[missing[job]];
            RemoteFile remote{file.name, file.url, file.size, {}};
            if (!file.etag.empty()) remote.headers.emplace_back("If-Match", file.etag);
            return fetch_range(send, listing_.explain, remote, offset, length, take);
          };
    };
    BUNDLE_TRY(const auto digests, download(jobs, parallel, make, progress));
    for (std::size_t n = 0; n < missing.size(); ++n) {
      ListedFile& file = files_[missing[n]];
      file.sha256 = digests[n];
      if (Status checked = check_other_digests(file, jobs[n].partial); !checked) {
        discard_partial(jobs[n].partial);
        return checked;
      }
      if (file.is_layer) BUNDLE_CHECK(unpack(jobs[n].partial, file));
      if (!file.is_layer) BUNDLE_CHECK(move_into_place(jobs[n].partial, folder_ / file.name));
      discard_partial(jobs[n].partial);
    }
    return {};
  }

  Json provenance(const SourceUri& uri) const {
    JsonArray files;
    for (const ListedFile& file : files_) {
      JsonObject entry{{"name", file.name}, {"size", file.size}};
      if (!file.sha256.empty()) entry["sha256"] = file.sha256;
      files.push_back(std::move(entry));
    }
    return JsonObject{
        {"uri", uri.text}, {"revision", listing_.revision}, {"files", std::move(files)}};
  }

 private:
  /// Takes the model's files out of a layer that was checked; a mark then says that all are there.
  Status unpack(const Path& layer, const ListedFile& file) const {
    BUNDLE_TRY(const std::vector<TarMember> members, read_layer(layer));
    BUNDLE_TRY(const MappedFile map, MappedFile::open(layer));
    for (const TarMember& member : members) {
      const std::string_view path = member.path;
      if (!path.starts_with(kModelsFolder)) continue;
      const std::string_view name = path.substr(kModelsFolder.size());
      if (name.find('/') != name.npos || !is_packable(name)) continue;
      if (member.size > map.bytes().size() || member.offset > map.bytes().size() - member.size) {
        return bad_input("a layer is cut short", file.name);
      }
      BUNDLE_CHECK(write_file_atomic(folder_ / name,
                                     as_text(map.bytes().subspan(member.offset, member.size))));
    }
    return write_file_atomic(mark_of(file), "");
  }

  Path mark_of(const ListedFile& file) const { return folder_ / ("." + file.name + "-unpacked"); }

  /// A file gets its final name only when it was checked.
  bool is_there(const ListedFile& file) const {
    std::error_code error;
    if (file.is_layer) return std::filesystem::exists(mark_of(file), error);
    return std::filesystem::file_size(folder_ / file.name, error) == file.size && !error;
  }

  const Listing& listing_;
  std::vector<ListedFile> files_;
  Path folder_;
};

Result<Listing> list(const SourceUri& uri, const FetchOptions& options,
                     const std::function<bool()>& go_on) {
  switch (uri.kind) {
    case SourceKind::kHub:
      return list_hub(uri, go_on);
    case SourceKind::kS3:
      return list_s3(uri, go_on);
    case SourceKind::kHttps:
      return list_https(uri, go_on);
    case SourceKind::kOci:
      break;
  }
  return list_oci(uri, options.registry, go_on);
}

/// One folder for each state of a source: what changes there is another folder here.
std::string folder_key(const SourceUri& uri, const Listing& listing,
                       const std::vector<ListedFile>& files) {
  std::string text = uri.text + '\n' + listing.revision;
  for (const ListedFile& file : files) {
    text += '\n' + file.name + ' ' + std::to_string(file.size) + ' ' + file.sha256 + file.git_sha1 +
            file.etag;
  }
  return sha256_hex(text).substr(0, 24);
}

/// The folder, for this process alone. A lock that gc deleted while we waited for it keeps nobody
/// away any more: then we begin anew.
Result<FileLock> lock_folder(const Path& folder, const std::string& what,
                             const Progress& progress) {
  const Path file = folder / kLock;
  for (;;) {
    BUNDLE_CHECK(make_directories(folder));
    BUNDLE_TRY(std::optional<FileLock> lock, FileLock::try_exclusive(file));
    if (lock && lock->is_at(file)) return *std::move(lock);
    if (progress && !progress("waiting for another build of " + what, 0, 0)) {
      return Error{ErrorCode::kInterrupted, "the work was stopped"};
    }
    if (!lock) std::this_thread::sleep_for(kLockPause);
  }
}

/// The locks of all folders of one source; none when another process holds one.
std::optional<std::vector<FileLock>> locks_below(const Path& source) {
  std::vector<FileLock> locks;
  std::error_code error;
  for (const auto& folder : std::filesystem::directory_iterator(source, error)) {
    auto lock = FileLock::try_exclusive(folder.path() / kLock);
    if (lock && !*lock) return std::nullopt;
    if (lock) locks.push_back(**std::move(lock));
  }
  return locks;
}

std::uint64_t size_below(const Path& folder) {
  std::uint64_t total = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code failure;
    const std::uint64_t size = at->is_regular_file(failure) ? at->file_size(failure) : 0;
    if (!failure) total += size;
  }
  return total;
}

}  // namespace

Result<FetchedModel> fetch_model(const SourceUri& uri, const Path& cache,
                                 const FetchOptions& options, const Progress& progress) {
  const auto go_on = [&] { return !progress || progress("asking " + uri.text, 0, 0); };
  BUNDLE_TRY(const Listing listing, list(uri, options, go_on));
  BUNDLE_TRY(const std::vector<ListedFile> files, select(listing, options, uri));
  FetchedModel model;
  model.name = listing.name;
  model.folder = cache / folder_key(uri, listing, files);
  const Path folder = model.folder / listing.name;
  BUNDLE_TRY(FileLock lock, lock_folder(folder, uri.text, progress));
  model.lock = std::make_shared<const FileLock>(std::move(lock));
  Fetcher fetcher(listing, files, folder);
  BUNDLE_CHECK(fetcher.run(options.parallel, progress));
  model.provenance = fetcher.provenance(uri);
  const bool is_single = files.size() == 1 && files.front().name.ends_with(".gguf");
  model.path = is_single ? folder / files.front().name : folder;
  return model;
}

Path downloads_folder() { return bundle_home() / "downloads"; }

std::uint64_t size_of_fetched(const Path& cache) { return size_below(cache); }

std::uint64_t clear_fetched(const Path& cache) {
  std::uint64_t freed = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(cache, error)) {
    const auto locks = locks_below(entry.path());
    if (!locks) continue;
    const std::uint64_t size = size_below(entry.path());
    std::error_code failure;
    std::filesystem::remove_all(entry.path(), failure);
    if (!failure) freed += size;
  }
  return freed;
}

}  // namespace bundle::packager::sources
