#include "packager/registry/pull.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <boost/json/object.hpp>

#include "packager/download/range_download.h"
#include "packager/oci.h"
#include "packager/received_bundle.h"
#include "packager/registry/remote_documents.h"
#include "packager/store_index.h"

namespace bundle::packager::registry {
namespace {

constexpr std::uint64_t kMostReferrerBlob = 16u << 20;

/// A referrer that was fetched whole.
struct FetchedReferrer {
  RemoteReferrer remote;
  std::vector<BundleDocuments::Text> blobs;
};

/// Fetches ranges of blobs over a connection of its own.
FetchRange blob_fetcher(Connection connection, const std::vector<Descriptor>& blobs) {
  auto own = std::make_shared<Connection>(std::move(connection));
  return [own, &blobs](std::size_t job, std::uint64_t offset, std::uint64_t length,
                       const TakeBytes& take) -> Status {
    const Descriptor& blob = blobs[job];
    const SendHttp send = [&own](HttpRequest request, const OnHttpData& on_data,
                                 const OnHttpHead& on_head) {
      return own->send(std::move(request), Access::kPull, on_data, on_head);
    };
    const ExplainAnswer explain = [](const HttpResponse& response, const std::string& name) {
      return Connection::unexpected(response, "cannot fetch a blob", name);
    };
    const RemoteFile file{blob.digest, own->url("/blobs/" + blob.digest).text(), blob.size};
    return fetch_range(send, explain, file, offset, length, take);
  };
}

/// One pull.
class Puller {
 public:
  Puller(const RemoteReference& remote, Connection connection, const PullOptions& options,
         const signing::Trust& trust, const Progress& progress)
      : remote_(remote),
        connection_(std::move(connection)),
        options_(options),
        trust_(trust),
        progress_(progress) {}

  Result<PullReport> run(Store& store) {
    BUNDLE_CHECK(choose_name());
    BUNDLE_TRY(RemoteManifest index, get_manifest(connection_, remote_.target(), go_on()));
    report_.digest = index.descriptor.digest;
    BUNDLE_TRY(WriteSession session, WriteSession::begin(StorePaths{store.root()}));
    BUNDLE_CHECK(fetch_referrers(index.descriptor.digest));
    BUNDLE_CHECK(check_trust());
    if (index.descriptor.media_type != oci::kIndexType) {
      return bad_input("this image is no bundle", remote_.text(),
                       "Bundles are made by 'bundle build'; run other images with podman.");
    }
    BUNDLE_TRY(const BundleDocuments documents,
               read_bundle_documents(index.descriptor, std::move(index.text),
                                     [this](const Descriptor& blob) { return document(blob); }));
    BUNDLE_CHECK(trust_.check_version(names(), documents.version));
    for (const BundleDocuments::Text& manifest : documents.manifests) {
      BUNDLE_CHECK(fetch_referrers(manifest.blob.digest));
    }
    BUNDLE_CHECK(fetch_blobs(session, documents));
    BUNDLE_CHECK(put_referrers(session));
    std::vector<Referrer> referrers;
    for (const FetchedReferrer& one : referrers_) referrers.push_back(one.remote.referrer);
    BUNDLE_CHECK(finish_bundle(session, documents, referrers, report_.name, report_.tag));
    return report_;
  }

 private:
  std::function<bool()> go_on() const {
    return [this] { return !progress_ || progress_("asking the registry", 0, 0); };
  }

  std::vector<std::string> names() const { return {remote_.name(), report_.name}; }

  Status choose_name() {
    report_.name = remote_.short_name();
    report_.tag = remote_.tag.empty() ? std::string(kDefaultTag) : remote_.tag;
    if (options_.name.empty()) return {};
    BUNDLE_TRY(const Reference wanted, parse_reference(options_.name));
    if (!wanted.digest.empty() || is_variant_tag(wanted.tag)) {
      return Error{ErrorCode::kUsage, "'" + options_.name + "' is no NAME[:TAG] for a bundle"};
    }
    report_.name = wanted.name;
    if (!wanted.tag.empty()) report_.tag = wanted.tag;
    return {};
  }

  Result<std::string> document(const Descriptor& blob) {
    BUNDLE_TRY(RemoteManifest manifest, get_manifest(connection_, blob.digest, go_on()));
    return std::move(manifest.text);
  }

  Status fetch_referrers(const std::string& subject) {
    BUNDLE_TRY(auto found, get_referrers(connection_, subject, go_on()));
    for (RemoteReferrer& remote : found) {
      if (auto whole = fetch_referrer(std::move(remote))) referrers_.push_back(*std::move(whole));
    }
    return {};
  }

  /// Nothing when a blob is too large, missing or wrong: a referrer is not the bundle.
  std::optional<FetchedReferrer> fetch_referrer(RemoteReferrer remote) {
    FetchedReferrer fetched{std::move(remote), {}};
    std::vector<Descriptor> blobs = fetched.remote.referrer.layers;
    const Json* config = find(fetched.remote.referrer.document, "config");
    if (config == nullptr) return std::nullopt;
    const auto descriptor = oci::read_descriptor(*config, "");
    if (!descriptor) return std::nullopt;
    blobs.push_back(*descriptor);
    for (const Descriptor& blob : blobs) {
      auto text = get_blob(connection_, blob, kMostReferrerBlob, go_on());
      if (!text) return std::nullopt;
      fetched.blobs.push_back({blob, *std::move(text)});
    }
    return fetched;
  }

  Status check_trust() {
    std::vector<signing::FoundSignature> found;
    for (const FetchedReferrer& fetched : referrers_) {
      const auto read = [&](const Descriptor& blob, std::uint64_t) -> Result<std::string> {
        for (const BundleDocuments::Text& text : fetched.blobs) {
          if (text.blob.digest == blob.digest) return text.text;
        }
        return not_found("no such blob", blob.digest);
      };
      const Referrer& referrer = fetched.remote.referrer;
      BUNDLE_TRY(auto more,
                 signing::signatures_in(referrer.document, referrer.manifest.digest, read));
      found.insert(found.end(), more.begin(), more.end());
    }
    report_.num_signatures = found.size();
    BUNDLE_TRY(const auto checked, trust_.check(names(), found, report_.digest));
    return {};
  }

  Status fetch_blobs(WriteSession& session, const BundleDocuments& documents) {
    std::vector<Descriptor> missing;
    for (const Descriptor& blob : documents.blobs) {
      report_.size += blob.size;
      if (!session.holds(blob.digest, blob.size)) missing.push_back(blob);
    }
    if (missing.empty()) return {};
    const StorePaths& paths = session.paths();
    BUNDLE_CHECK(make_directories(paths.partials()));
    BUNDLE_TRY(const FileLock lock, FileLock::exclusive(paths.download_lock()));
    std::erase_if(missing, [&](const Descriptor& blob) {
      return session.holds(blob.digest, blob.size);  // another process fetched it meanwhile
    });
    std::vector<DownloadJob> jobs;
    for (const Descriptor& blob : missing) {
      jobs.push_back({blob.digest, blob.size, blob.digest.substr(7), paths.partial(blob.digest)});
      report_.transferred += blob.size;
    }
    const MakeFetcher make = [&] { return blob_fetcher(connection_.another(), missing); };
    const auto digests = download(jobs, options_.parallel, make, progress_);
    if (!digests) {
      // A registry that lies is no place to go on from.
      const bool lied = digests.error().code == ErrorCode::kBadInput;
      for (const DownloadJob& job : jobs) {
        if (lied) discard_partial(job.partial);
      }
      return digests.error();
    }
    for (const Descriptor& blob : missing) {
      BUNDLE_CHECK(session.adopt(paths.partial(blob.digest), blob.digest));
      discard_partial(paths.partial(blob.digest));
    }
    return {};
  }

  Status put_referrers(WriteSession& session) {
    for (const FetchedReferrer& fetched : referrers_) {
      for (const BundleDocuments::Text& blob : fetched.blobs) {
        BUNDLE_CHECK(session.put(blob.blob.media_type, blob.text));
      }
      BUNDLE_CHECK(session.put(oci::kManifestType, fetched.remote.text));
    }
    return {};
  }

  const RemoteReference& remote_;
  Connection connection_;
  const PullOptions& options_;
  const signing::Trust& trust_;
  const Progress& progress_;
  PullReport report_;
  std::vector<FetchedReferrer> referrers_;
};

}  // namespace

Result<PullReport> pull(const RemoteReference& remote, Store& store, const PullOptions& options,
                        const signing::Trust& trust, const Progress& progress) {
  BUNDLE_TRY(Connection connection, Connection::open(remote, options.registry));
  auto report = Puller(remote, std::move(connection), options, trust, progress).run(store);
  if (!report && report.error().code != ErrorCode::kInterrupted) (void)store.collect_blobs();
  return report;
}

}  // namespace bundle::packager::registry
