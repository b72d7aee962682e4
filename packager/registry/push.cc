#include "packager/registry/push.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/oci.h"
#include "packager/referrers.h"
#include "packager/registry/blob_upload.h"
#include "packager/registry/cosign_merge.h"
#include "packager/registry/remote_documents.h"
#include "packager/signing/cosign.h"
#include "packager/signing/trust.h"
#include "packager/stored_bundle.h"

namespace bundle::packager::registry {
namespace {

/// Uploads many blobs with a few threads; the caller's thread reports.
class BlobPool {
 public:
  BlobPool(const Connection& connection, const StorePaths& paths, const UploadOptions& options,
           const Progress& progress)
      : connection_(connection), paths_(paths), options_(options), progress_(progress) {}

  Status run(const std::vector<Descriptor>& blobs, int workers, PushReport& report) {
    blobs_ = &blobs;
    for (const Descriptor& blob : blobs) total_ += blob.size;
    std::vector<std::thread> threads;
    const auto useful =
        std::min<std::size_t>(blobs.size(), static_cast<std::size_t>(std::max(workers, 1)));
    running_ = useful;
    for (std::size_t i = 0; i < useful; ++i) threads.emplace_back([this] { work(); });
    watch();
    for (std::thread& thread : threads) thread.join();
    if (error_) return *error_;
    report.transferred += transferred_;
    report.num_mounted += mounted_;
    return {};
  }

 private:
  void work() {
    Connection connection = connection_.another();
    while (const Descriptor* blob = next()) {
      auto outcome = upload_blob(connection, *blob, paths_.blob(blob->digest), options_,
                                 [this](std::int64_t more) {
                                   done_ += more;
                                   return !stopping_;
                                 });
      if (!outcome) {
        fail(std::move(outcome).error());
        break;
      }
      note(*blob, *outcome);
    }
    --running_;
  }

  const Descriptor* next() {
    const std::lock_guard lock(mutex_);
    return error_ || next_ == blobs_->size() ? nullptr : &(*blobs_)[next_++];
  }

  void note(const Descriptor& blob, UploadOutcome outcome) {
    const std::lock_guard lock(mutex_);
    if (outcome == UploadOutcome::kUploaded) transferred_ += blob.size;
    if (outcome != UploadOutcome::kUploaded) done_ += static_cast<std::int64_t>(blob.size);
    mounted_ += outcome == UploadOutcome::kMounted;
  }

  void fail(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    stopping_ = true;
  }

  void watch() {
    while (running_ > 0) {
      const auto done = static_cast<std::uint64_t>(std::max<std::int64_t>(done_, 0));
      if (progress_ && !progress_("uploading", std::min(done, total_), total_)) {
        fail({ErrorCode::kInterrupted, "the upload was stopped", "",
              "Run it again to go on where it stopped."});
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  const Connection& connection_;
  const StorePaths& paths_;
  const UploadOptions& options_;
  const Progress& progress_;
  const std::vector<Descriptor>* blobs_ = nullptr;
  std::mutex mutex_;
  std::size_t next_ = 0;
  std::optional<Error> error_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> running_{0};
  std::atomic<std::int64_t> done_{0};
  std::uint64_t total_ = 0;
  std::uint64_t transferred_ = 0;
  std::size_t mounted_ = 0;
};

class Pusher {
 public:
  Pusher(const StoredBundle& bundle, const Store& store, Connection connection,
         const PushOptions& options, const Progress& progress)
      : bundle_(bundle),
        paths_{store.root()},
        connection_(std::move(connection)),
        options_(options),
        progress_(progress) {}

  Result<PushReport> run(const RemoteReference& remote) {
    report_.digest = bundle_.digest;
    report_.reference = remote.name() + '@' + bundle_.digest;
    BUNDLE_CHECK(collect());
    BUNDLE_CHECK(upload_blobs());
    for (const Descriptor& manifest : manifests_) {
      BUNDLE_CHECK(put_manifest(manifest, manifest.digest));
    }
    BUNDLE_TRY(const Descriptor index, describe_blob(paths_, oci::kIndexType, bundle_.digest));
    BUNDLE_CHECK(put_manifest(index, remote.tag.empty() ? bundle_.digest : remote.tag));
    for (const Referrer& referrer : referrers_) BUNDLE_CHECK(put_referrer(referrer));
    report_.num_referrers = referrers_.size();
    return report_;
  }

 private:
  std::function<bool()> go_on() const {
    return [this] { return !progress_ || progress_("talking to the registry", 0, 0); };
  }

  /// Everything that has to be there, before anything is sent.
  Status collect() {
    BUNDLE_TRY(manifests_, oci::read_descriptors(bundle_.index, "manifests", bundle_.digest));
    std::map<std::string, Descriptor> blobs;
    for (const StoredLayer& layer : bundle_.layers) {
      blobs[layer.descriptor.digest] = layer.descriptor;
    }
    std::vector<std::string> subjects{bundle_.digest};
    for (const Descriptor& manifest : manifests_) {
      BUNDLE_TRY(const Json document, read_document(paths_, manifest));
      BUNDLE_CHECK(add_blobs(document, manifest.digest, blobs));
      subjects.push_back(manifest.digest);
    }
    for (const std::string& subject : subjects) {
      BUNDLE_TRY(const auto found, referrers_of(paths_, subject));
      for (const Referrer& referrer : found) {
        BUNDLE_CHECK(add_blobs(referrer.document, referrer.manifest.digest, blobs));
        referrers_.push_back(referrer);
      }
    }
    for (auto& [digest, blob] : blobs) {
      report_.size += blob.size;
      blobs_.push_back(std::move(blob));
    }
    // The largest first: the last to finish is then a small one.
    std::ranges::stable_sort(blobs_, std::greater<>(), &Descriptor::size);
    return {};
  }

  static Status add_blobs(const Json& manifest, const std::string& where,
                          std::map<std::string, Descriptor>& blobs) {
    BUNDLE_TRY(const auto layers, oci::read_descriptors(manifest, "layers", where));
    for (const Descriptor& layer : layers) blobs[layer.digest] = layer;
    const Json* config = find(manifest, "config");
    if (config == nullptr) return bad_input("the manifest has no 'config'", where);
    BUNDLE_TRY(const Descriptor descriptor, oci::read_descriptor(*config, where));
    blobs[descriptor.digest] = descriptor;
    return {};
  }

  Status upload_blobs() {
    UploadOptions upload{options_.chunk_bytes, paths_.uploads(), options_.mount_from};
    // A store that belongs to another user can be pushed from, but remembers no upload.
    if (!make_directories(upload.memory)) upload.memory.clear();
    return BlobPool(connection_, paths_, upload, progress_).run(blobs_, options_.parallel, report_);
  }

  Status put_manifest(const Descriptor& manifest, const std::string& target) {
    BUNDLE_TRY(const std::string text,
               read_checked_blob(paths_, manifest, oci::kMostDocumentBytes));
    BUNDLE_TRY(const HttpResponse response, put_text(text, manifest.media_type, target));
    const std::string_view digest = response.header("docker-content-digest");
    if (!digest.empty() && target != manifest.digest && digest != manifest.digest) {
      return bad_input("the registry stored another digest than it was given", std::string(digest));
    }
    return {};
  }

  Result<HttpResponse> put_text(const std::string& text, const std::string& media_type,
                                const std::string& target) {
    HttpRequest request;
    request.method = "PUT";
    request.url = connection_.url("/manifests/" + target).text();
    request.headers.emplace_back("Content-Type", media_type);
    request.body = text;
    BUNDLE_TRY(HttpResponse response,
               with_retries([&] { return connection_.send(request, Access::kPush); }, go_on()));
    if (response.status != 201) {
      return Connection::unexpected(response, "cannot store a manifest",
                                    connection_.repository() + ' ' + target);
    }
    return response;
  }

  Status put_referrer(const Referrer& referrer) {
    BUNDLE_TRY(const std::string text,
               read_checked_blob(paths_, referrer.manifest, oci::kMostDocumentBytes));
    BUNDLE_TRY(const HttpResponse response,
               put_text(text, referrer.manifest.media_type, referrer.manifest.digest));
    if (referrer.artifact_type == signing::kCosignArtifact) {
      BUNDLE_CHECK(put_cosign_tag(referrer, text));
    }
    if (response.header("oci-subject") == referrer.subject) return {};
    return add_to_stand_in(referrer);
  }

  /// cosign's one tag for all signatures, ours beside those that are there.
  Status put_cosign_tag(const Referrer& referrer, const std::string& ours) {
    const std::string tag = signing::cosign_tag(referrer.subject);
    const auto there = get_manifest(connection_, tag, go_on());
    if (!there) {
      if (there.error().code == ErrorCode::kNotFound) return put_manifest(referrer.manifest, tag);
      return there.error();
    }
    BUNDLE_TRY(const auto merged, merge_signatures(there->text, ours));
    if (!merged) return put_manifest(referrer.manifest, tag);
    BUNDLE_CHECK(put_text_blob(merged->config));
    BUNDLE_TRY([[maybe_unused]] const HttpResponse response,
               put_text(merged->manifest, std::string(oci::kManifestType), tag));
    return {};
  }

  /// A small blob that the store does not have.
  Status put_text_blob(const std::string& text) {
    std::string path = (std::filesystem::temp_directory_path() / "bundle-blob-XXXXXX").string();
    const Fd fd(::mkostemp(path.data(), O_CLOEXEC));
    if (!fd) return system_error("cannot create a file", path);
    Status done = write_all(fd.get(), text, path);
    const Descriptor blob{std::string(oci::kConfigType), "sha256:" + sha256_hex(text), text.size()};
    if (done) {
      const auto sent = upload_blob(connection_, blob, path, {}, [](std::int64_t) { return true; });
      if (!sent) done = sent.error();
    }
    ::unlink(path.c_str());
    return done;
  }

  /// Registries without the referrers API: an index under a tag that is made of the subject.
  Status add_to_stand_in(const Referrer& referrer) {
    const std::string tag = referrers_tag(referrer.subject);
    JsonArray entries;
    if (const auto there = get_manifest(connection_, tag, go_on())) {
      const auto document = parse_json(there->text, tag);
      const Json* manifests = document ? find(*document, "manifests") : nullptr;
      if (manifests != nullptr && manifests->is_array()) entries = manifests->get_array();
    }
    for (const Json& entry : entries) {
      const auto descriptor = oci::read_descriptor(entry, tag);
      if (descriptor && descriptor->digest == referrer.manifest.digest) return {};
    }
    JsonObject entry = oci::to_json(referrer.manifest);
    entry["artifactType"] = referrer.artifact_type;
    entries.push_back(std::move(entry));
    const Json index = JsonObject{
        {"schemaVersion", 2}, {"mediaType", oci::kIndexType}, {"manifests", std::move(entries)}};
    BUNDLE_CHECK(put_text(print_json(index), std::string(oci::kIndexType), tag));
    return {};
  }

  const StoredBundle& bundle_;
  StorePaths paths_;
  Connection connection_;
  const PushOptions& options_;
  const Progress& progress_;
  PushReport report_;
  std::vector<Descriptor> manifests_;
  std::vector<Descriptor> blobs_;
  std::vector<Referrer> referrers_;
};

}  // namespace

Result<PushReport> push(const StoredBundle& bundle, const Store& store,
                        const RemoteReference& remote, const PushOptions& options,
                        const Progress& progress) {
  BUNDLE_TRY(Connection connection, Connection::open(remote, options.registry));
  return Pusher(bundle, store, std::move(connection), options, progress).run(remote);
}

}  // namespace bundle::packager::registry
