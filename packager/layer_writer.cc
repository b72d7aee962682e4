#include "packager/layer_writer.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/sha256.h"
#include "packager/async_hash.h"
#include "packager/oci.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kChunk = 1u << 20;
constexpr std::size_t kRing = 4;

Error changed(const Path& file) {
  return bad_input("the file changed while the bundle was built", file.string(),
                   "Build again when nothing writes to it.");
}

/// Room for the whole layer now rather than an error after hours.
Status reserve(const TemporaryFile& file, std::uint64_t size) {
  if (::fallocate(file.fd(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size)) == 0) return {};
  if (errno != ENOSPC && errno != EDQUOT) return {};  // the file system cannot tell
  Error error =
      system_error("the store has no room for a layer of " + std::to_string(size) + " bytes");
  error.remedy = "Free some space, or set BUNDLE_HOME to a larger disk.";
  return error;
}

/// Copies members to one temporary file. The file's hash is taken here, the layer's on a thread of
/// its own, over the same buffers.
class LayerWriter {
 public:
  LayerWriter(TemporaryFile file, const ByteMeter& meter)
      : file_(std::move(file)), meter_(meter), ring_(kRing, std::string(kChunk, '\0')) {}

  Result<WrittenLayer> write(const LayerPlan& plan, WriteSession& session) {
    WrittenLayer layer;
    for (const LayerMember& member : plan.members) {
      const bool is_weight = plan.role == LayerRole::kWeights;
      BUNDLE_CHECK(add_text(is_weight ? weight_header(member.path, member.size())
                                      : member_header(member.path, member.size(), member.mode)));
      BUNDLE_TRY(std::string sha256, add_data(member));
      layer.sha256.push_back(std::move(sha256));
      BUNDLE_CHECK(add_text(member_padding(member.size())));
    }
    BUNDLE_CHECK(add_text(layer_end()));
    layer.descriptor = {std::string(oci::kLayerType), "sha256:" + layer_hash_.hex(), written_};
    layer.reused = session.holds(layer.descriptor.digest, written_);
    BUNDLE_CHECK(session.adopt(std::move(file_), layer.descriptor.digest));
    return layer;
  }

 private:
  /// The next free buffer, once the layer's hash is done with it.
  std::string& next_buffer() {
    if (pushed_ >= kRing) layer_hash_.wait_for(pushed_ - kRing + 1);
    return ring_[pushed_ % kRing];
  }

  void push(Bytes bytes) {
    layer_hash_.push(bytes);
    ++pushed_;
    written_ += bytes.size();
  }

  Status add_text(std::string_view text) {
    while (!text.empty()) {
      std::string& buffer = next_buffer();
      const std::size_t count = std::min(text.size(), buffer.size());
      text.copy(buffer.data(), count);
      const std::string_view part = std::string_view(buffer).substr(0, count);
      push(as_bytes(part));
      BUNDLE_CHECK(file_.write(part));
      text.remove_prefix(count);
    }
    return {};
  }

  Result<std::string> add_data(const LayerMember& member) {
    if (member.file.empty()) {
      BUNDLE_CHECK(add_text(member.text));
      return sha256_hex(member.text);
    }
    const Fd source(::open(member.file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!source) return system_error("cannot open the file", member.file.string());
    BUNDLE_CHECK(check_stamp(source, member));
    const bool is_cloned = clone(source, member);
    if (!is_cloned) BUNDLE_CHECK(reserve(file_, written_ + member.stamp.size));
    Sha256 hash;
    for (std::uint64_t done = 0; done < member.stamp.size;) {
      BUNDLE_TRY(const std::string_view part, read_part(source, member, done, is_cloned));
      hash.update(as_bytes(part));
      if (!is_cloned) BUNDLE_CHECK(file_.write(part));
      done += part.size();
      if (!meter_("packing " + member.file.filename().string(), part.size())) {
        return Error{ErrorCode::kInterrupted, "the build was interrupted", "",
                     "Run it again to go on."};
      }
    }
    BUNDLE_CHECK(check_stamp(source, member));
    return hash.hex();
  }

  static Status check_stamp(const Fd& source, const LayerMember& member) {
    BUNDLE_TRY(const FileStamp now, stamp_descriptor(source.get(), member.file));
    if (now != member.stamp) return changed(member.file);
    return {};
  }

  /// Shares the file's extents where the file system can; the bytes are then hashed as they stand
  /// in the clone. Works only from a block's border: that is why weights start at 4096.
  bool clone(const Fd& source, const LayerMember& member) {
    if (written_ != kWeightDataOffset) return false;
    file_clone_range range{};
    range.src_fd = source.get();
    range.dest_offset = written_;
    if (::ioctl(file_.fd(), FICLONERANGE, &range) != 0) return false;
    const auto end = static_cast<off_t>(written_ + member.stamp.size);
    return ::lseek(file_.fd(), 0, SEEK_END) == end;
  }

  Result<std::string_view> read_part(const Fd& source, const LayerMember& member,
                                     std::uint64_t done, bool is_cloned) {
    std::string& buffer = next_buffer();
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), member.stamp.size - done);
    const int fd = is_cloned ? file_.fd() : source.get();
    const auto at = static_cast<off_t>(is_cloned ? kWeightDataOffset + done : done);
    ssize_t count = ::pread(fd, buffer.data(), wanted, at);
    while (count < 0 && errno == EINTR) count = ::pread(fd, buffer.data(), wanted, at);
    if (count < 0) return system_error("cannot read the file", member.file.string());
    if (count == 0) return changed(member.file);
    const auto part = std::string_view(buffer).substr(0, static_cast<std::size_t>(count));
    push(as_bytes(part));
    return part;
  }

  TemporaryFile file_;
  const ByteMeter& meter_;
  std::vector<std::string> ring_;
  AsyncHash layer_hash_;  // after ring_: it reads the buffers until it is gone
  std::uint64_t pushed_ = 0;
  std::uint64_t written_ = 0;
};

/// The layer that holds exactly this file, when it was packed before and has not changed.
std::optional<WrittenLayer> recall(const LayerPlan& plan, const WriteSession& session,
                                   const HashCache& cache) {
  if (plan.role != LayerRole::kWeights) return std::nullopt;
  const LayerMember& member = plan.members.front();
  const auto known = cache.find(member.file, member.stamp, member.path);
  const std::uint64_t size = weight_layer_size(member.size());
  if (!known || !session.holds(known->layer_digest, size)) return std::nullopt;
  return WrittenLayer{
      {std::string(oci::kLayerType), known->layer_digest, size}, {known->sha256}, true};
}

}  // namespace

std::uint64_t LayerPlan::data_size() const {
  std::uint64_t size = 0;
  for (const LayerMember& member : members) size += member.size();
  return size;
}

Result<LayerPlan> runtime_plan(const std::vector<PackFile>& files) {
  LayerPlan plan{LayerRole::kRuntime, {}};
  for (const PackFile& file : files) {
    BUNDLE_TRY(const FileStamp stamp, stamp_file(file.host));
    plan.members.push_back({file.image, kProgramMode, {}, file.host, stamp});
  }
  return plan;
}

Result<WrittenLayer> write_layer(const LayerPlan& plan, WriteSession& session, HashCache& cache,
                                 const ByteMeter& meter) {
  if (auto known = recall(plan, session, cache)) {
    meter("packing", plan.data_size());
    return *std::move(known);
  }
  BUNDLE_TRY(TemporaryFile file, session.temporary());
  LayerWriter writer(std::move(file), meter);
  BUNDLE_TRY(WrittenLayer layer, writer.write(plan, session));
  if (plan.role == LayerRole::kWeights) {
    const LayerMember& member = plan.members.front();
    cache.add(member.file, member.stamp, member.path,
              {layer.sha256.front(), layer.descriptor.digest});
  }
  return layer;
}

}  // namespace bundle::packager
