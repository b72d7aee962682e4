#include <algorithm>
#include <optional>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/sha256.h"
#include "packager/oci.h"
#include "packager/received_bundle.h"
#include "packager/referrers.h"
#include "packager/store_index.h"
#include "packager/stored_bundle.h"
#include "packager/transfer/archive.h"
#include "packager/transfer/archive_reader.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kMostBundles = 1000;
constexpr std::uint64_t kCopyPiece = 1u << 20;

/// What index.json of the archive names.
struct ArchivedBundle {
  Descriptor index;
  std::string name;
  std::string tag;
};
struct ArchivedReferrer {
  Descriptor manifest;
  std::string subject;
};

class Importer {
 public:
  Importer(const ArchiveReader& archive, WriteSession& session, const ImportOptions& options,
           const signing::Trust& trust, const Progress& progress)
      : archive_(archive),
        session_(session),
        options_(options),
        trust_(trust),
        progress_(progress) {}

  Result<std::vector<ImportedBundle>> run() {
    BUNDLE_CHECK(read_index());
    for (const ArchivedBundle& bundle : bundles_) BUNDLE_CHECK(prepare(bundle));
    BUNDLE_CHECK(check_all_needed());
    for (Prepared& prepared : prepared_) BUNDLE_CHECK(import_blobs(prepared));
    for (Prepared& prepared : prepared_) {
      BUNDLE_CHECK(finish_bundle(session_, prepared.documents, prepared.referrers,
                                 prepared.report.name, prepared.report.tag));
      reports_.push_back(prepared.report);
    }
    return reports_;
  }

 private:
  /// A bundle whose signature and documents are checked.
  struct Prepared {
    ImportedBundle report;
    BundleDocuments documents;
    std::vector<Referrer> referrers;
    std::vector<Descriptor> extra;  // blobs of the referrers
  };

  Status read_index() {
    const std::string where = archive_.file().name() + " index.json";
    BUNDLE_TRY(const std::string text, archive_.index());
    BUNDLE_TRY(const Json index, parse_json(text, where));
    BUNDLE_TRY(const auto descriptors, oci::read_descriptors(index, "manifests", where));
    const JsonArray& entries = index.at("manifests").get_array();
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      BUNDLE_CHECK(take_entry(descriptors[i], entries[i], where));
    }
    if (bundles_.empty()) {
      return bad_input("the archive holds no bundle", archive_.file().name(),
                       "Bundles are made by 'bundle export'.");
    }
    if (bundles_.size() > 1 && !options_.name.empty()) {
      return Error{ErrorCode::kUsage, "the archive holds several bundles: --name fits only one"};
    }
    return {};
  }

  Status take_entry(const Descriptor& blob, const Json& entry, const std::string& where) {
    const std::string subject = oci::annotation(entry, oci::kSubject);
    if (is_valid_digest(subject) && blob.media_type == oci::kManifestType) {
      referrers_.push_back({blob, subject});
      return {};
    }
    if (blob.media_type != oci::kIndexType) return {};  // a variant, which its bundle names too
    if (bundles_.size() == kMostBundles)
      return bad_input("the archive holds too many bundles", where);
    const std::string named =
        options_.name.empty() ? oci::annotation(entry, oci::kRefName) : options_.name;
    BUNDLE_TRY(const Reference reference, parse_reference(named));
    const std::string tag = reference.tag.empty() ? std::string(kDefaultTag) : reference.tag;
    if (reference.name.empty() || !reference.digest.empty() || is_variant_tag(tag)) {
      return bad_input("a bundle in the archive has no usable name", where,
                       "Give one with --name NAME[:TAG].");
    }
    bundles_.push_back({blob, reference.name, tag});
    return {};
  }

  /// From the archive, else from the store.
  Result<std::string> document(const Descriptor& blob) const {
    const ArchiveMember* member = archive_.blob(blob.digest);
    if (member == nullptr) {
      return read_checked_blob(session_.paths(), blob, oci::kMostDocumentBytes);
    }
    BUNDLE_TRY(std::string text, archive_.read(*member, oci::kMostDocumentBytes));
    BUNDLE_CHECK(check_text(blob, text));
    return text;
  }

  Status prepare(const ArchivedBundle& bundle) {
    Prepared prepared;
    prepared.report.name = bundle.name;
    prepared.report.tag = bundle.tag;
    prepared.report.digest = bundle.index.digest;
    needed_.insert(bundle.index.digest);
    BUNDLE_CHECK(add_referrers(bundle.index.digest, prepared));
    BUNDLE_CHECK(check_trust(bundle, prepared));
    BUNDLE_TRY(std::string text, document(bundle.index));
    BUNDLE_TRY(prepared.documents,
               read_bundle_documents(bundle.index, std::move(text),
                                     [this](const Descriptor& blob) { return document(blob); }));
    BUNDLE_CHECK(trust_.check_version({bundle.name}, prepared.documents.version));
    for (const BundleDocuments::Text& manifest : prepared.documents.manifests) {
      needed_.insert(manifest.blob.digest);
      BUNDLE_CHECK(add_referrers(manifest.blob.digest, prepared));
    }
    for (const Descriptor& blob : prepared.documents.blobs) {
      needed_.insert(blob.digest);
      BUNDLE_CHECK(expect(blob));
    }
    prepared_.push_back(std::move(prepared));
    return {};
  }

  Status add_referrers(const std::string& subject, Prepared& prepared) {
    for (const ArchivedReferrer& archived : referrers_) {
      if (archived.subject != subject || prepared.referrers.size() == kMostReferrers) continue;
      BUNDLE_TRY(const std::string text, document(archived.manifest));
      BUNDLE_TRY(Referrer referrer, read_referrer(archived.manifest, text, subject));
      needed_.insert(archived.manifest.digest);
      prepared.extra.push_back(archived.manifest);
      BUNDLE_CHECK(add_extra(referrer, prepared));
      prepared.referrers.push_back(std::move(referrer));
    }
    return {};
  }

  Status add_extra(const Referrer& referrer, Prepared& prepared) {
    std::vector<Descriptor> blobs = referrer.layers;
    if (const Json* config = find(referrer.document, "config"); config != nullptr) {
      BUNDLE_TRY(Descriptor descriptor, oci::read_descriptor(*config, referrer.manifest.digest));
      blobs.push_back(std::move(descriptor));
    }
    for (const Descriptor& blob : blobs) {
      needed_.insert(blob.digest);
      BUNDLE_CHECK(expect(blob));
      prepared.extra.push_back(blob);
    }
    return {};
  }

  Status check_trust(const ArchivedBundle& bundle, const Prepared& prepared) const {
    std::vector<signing::FoundSignature> found;
    const auto read = [this](const Descriptor& blob, std::uint64_t cap) -> Result<std::string> {
      const ArchiveMember* member = archive_.blob(blob.digest);
      if (member == nullptr) return read_checked_blob(session_.paths(), blob, cap);
      BUNDLE_TRY(std::string text, archive_.read(*member, cap));
      BUNDLE_CHECK(check_text(blob, text));
      return text;
    };
    for (const Referrer& referrer : prepared.referrers) {
      BUNDLE_TRY(auto more,
                 signing::signatures_in(referrer.document, referrer.manifest.digest, read));
      found.insert(found.end(), more.begin(), more.end());
    }
    BUNDLE_TRY(const auto checked, trust_.check({bundle.name}, found, bundle.index.digest));
    return {};
  }

  /// A blob must be in the archive, or in the store already.
  Status expect(const Descriptor& blob) const {
    const ArchiveMember* member = archive_.blob(blob.digest);
    if (member != nullptr && member->size != blob.size) {
      return bad_input("a blob in the archive has another size than its manifest says",
                       blob.digest);
    }
    if (member != nullptr || session_.holds(blob.digest, blob.size)) return {};
    return not_found("neither the archive nor the store has the blob " + blob.digest,
                     archive_.file().name(),
                     "The archive leaves out what another store has: export it without --have.");
  }

  Status check_all_needed() const {
    for (const auto& [digest, member] : archive_.blobs()) {
      if (!needed_.contains(digest)) {
        return bad_input("the archive holds a blob that no bundle needs", digest);
      }
    }
    return {};
  }

  Status import_blobs(Prepared& prepared) {
    std::vector<Descriptor> blobs = prepared.documents.blobs;
    blobs.insert(blobs.end(), prepared.extra.begin(), prepared.extra.end());
    std::uint64_t total = 0;
    std::uint64_t done = 0;
    for (const Descriptor& blob : blobs) {
      if (!session_.holds(blob.digest, blob.size)) total += blob.size;
    }
    for (const Descriptor& blob : prepared.documents.blobs) prepared.report.size += blob.size;
    for (const Descriptor& blob : blobs) {
      if (session_.holds(blob.digest, blob.size)) continue;
      BUNDLE_CHECK(import_blob(blob, [&](std::uint64_t more) {
        done += more;
        return !progress_ || progress_("importing", std::min(done, total), total);
      }));
      prepared.report.transferred += blob.size;
    }
    return {};
  }

  Status import_blob(const Descriptor& blob, const CopyMeter& meter) {
    const ArchiveMember* member = archive_.blob(blob.digest);
    if (member == nullptr) return not_found("a blob is gone", blob.digest);
    BUNDLE_TRY(TemporaryFile file, session_.temporary());
    Sha256 hash;
    for (std::uint64_t at = 0; at < member->size;) {
      const std::uint64_t length = std::min(kCopyPiece, member->size - at);
      BUNDLE_TRY(const std::string bytes, archive_.file().read(member->offset + at, length));
      hash.update(as_bytes(bytes));
      BUNDLE_CHECK(file.write(bytes));
      at += length;
      if (!meter(length)) {
        return Error{ErrorCode::kInterrupted, "the import was stopped", archive_.file().name(),
                     "Run it again to go on where it stopped."};
      }
    }
    if ("sha256:" + hash.hex() != blob.digest) {
      return bad_input("a blob in the archive does not have the digest that names it", blob.digest,
                       "The archive is damaged: copy it again.");
    }
    return session_.adopt(std::move(file), blob.digest);
  }

  const ArchiveReader& archive_;
  WriteSession& session_;
  const ImportOptions& options_;
  const signing::Trust& trust_;
  const Progress& progress_;
  std::vector<ArchivedBundle> bundles_;
  std::vector<ArchivedReferrer> referrers_;
  std::set<std::string> needed_;
  std::vector<Prepared> prepared_;
  std::vector<ImportedBundle> reports_;
};

Result<std::vector<ImportedBundle>> import_in_session(const ArchiveReader& archive,
                                                      const StorePaths& paths,
                                                      const ImportOptions& options,
                                                      const signing::Trust& trust,
                                                      const Progress& progress) {
  BUNDLE_TRY(WriteSession session, WriteSession::begin(paths));
  return Importer(archive, session, options, trust, progress).run();
}

}  // namespace

Result<std::vector<ImportedBundle>> import_archive(const Path& file, Store& store,
                                                   const ImportOptions& options,
                                                   const signing::Trust& trust,
                                                   const Progress& progress) {
  BUNDLE_TRY(const ArchiveReader archive, ArchiveReader::open(file));
  auto imported = import_in_session(archive, StorePaths{store.root()}, options, trust, progress);
  if (!imported && imported.error().code != ErrorCode::kInterrupted) (void)store.collect_blobs();
  return imported;
}

}  // namespace bundle::packager
