#include "packager/transfer/archive_reader.h"

#include <cstring>
#include <optional>
#include <set>

#include "packager/reference.h"

namespace bundle::packager {
namespace {

constexpr std::uint64_t kBlock = 512;
constexpr std::size_t kMostMembers = 20'000;
constexpr std::uint64_t kMostPaxBytes = 64u << 10;
constexpr std::uint64_t kMostIndexBytes = 16u << 20;
constexpr std::uint64_t kMostOctalSize = 077777777777;
constexpr std::uint64_t kMostPadding = 1u << 20;
constexpr std::string_view kBlobs = "blobs/sha256/";

/// Field positions of a ustar header.
struct Field {
  std::size_t offset;
  std::size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kSize{124, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kType = 156;
constexpr Field kPrefix{345, 155};

std::string_view raw(std::string_view header, Field field) {
  return header.substr(field.offset, field.size);
}

std::string text_of(std::string_view header, Field field) {
  const std::string_view bytes = raw(header, field);
  return std::string(bytes.substr(0, bytes.find('\0')));
}

/// Octal digits, ended by a blank or NUL. No base-256, no sign.
std::optional<std::uint64_t> octal(std::string_view field) {
  std::uint64_t value = 0;
  std::size_t digits = 0;
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  for (; !field.empty() && field.front() >= '0' && field.front() <= '7'; field.remove_prefix(1)) {
    value = value * 8 + static_cast<std::uint64_t>(field.front() - '0');
    ++digits;
  }
  if (digits == 0 ||
      field.find_first_not_of(std::string_view(" \0", 2)) != std::string_view::npos) {
    return std::nullopt;
  }
  return value;
}

std::uint64_t sum_of(std::string_view header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    const bool in_checksum = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    sum += in_checksum ? ' ' : static_cast<unsigned char>(header[i]);
  }
  return sum;
}

/// Records that say nothing of where or what a member is.
bool is_harmless(std::string_view key) {
  for (const char* known : {"mtime", "atime", "ctime", "comment", "uid", "gid", "uname", "gname"}) {
    if (key == known) return true;
  }
  return false;
}

}  // namespace

class ArchiveReader::Scanner {
 public:
  explicit Scanner(ArchiveReader& archive) : archive_(archive), file_(archive.file_) {}

  Status scan() {
    for (std::size_t members = 0;; ++members) {
      if (members == kMostMembers) return refuse("it has over 20000 members");
      BUNDLE_TRY(const std::string header, file_.read(at_, kBlock));
      if (header.find_first_not_of('\0') == std::string::npos) break;
      BUNDLE_CHECK(take(header));
    }
    BUNDLE_CHECK(check_end());
    if (!names_.contains("index.json")) return refuse("it has no index.json");
    return {};
  }

 private:
  Error refuse(const std::string& what) const {
    return bad_input("not an archive of bundles: " + what,
                     file_.name() + " at byte " + std::to_string(at_));
  }

  Status check_end() {
    if (file_.size() - at_ > kMostPadding) return refuse("something follows its end");
    BUNDLE_TRY(const std::string rest, file_.read(at_, file_.size() - at_));
    if (rest.size() < 2 * kBlock) return refuse("it is cut short");
    if (rest.find_first_not_of('\0') != std::string::npos) {
      return refuse("something follows its end");
    }
    return {};
  }

  Status take(const std::string& header) {
    const auto checksum = octal(raw(header, kChecksum));
    if (!checksum || *checksum != sum_of(header)) return refuse("a header's checksum is wrong");
    const auto size = octal(raw(header, kSize));
    if (!size) return refuse("a size is no octal number");
    const char type = header[kType];
    if (type == 'x') return take_pax(*size);
    if (!text_of(header, kPrefix).empty()) return refuse("a name is longer than any we write");
    const std::string name = text_of(header, kName);
    if (type == '5') return take_folder(name, *size);
    if (type != '0' && type != '\0') return refuse("a member is neither file nor folder");
    if (pax_size_ && *size != 0) return refuse("a member has two sizes");
    const std::uint64_t length = pax_size_.value_or(*size);
    pax_size_.reset();
    has_pax_ = false;
    return take_file(name, length);
  }

  Status take_folder(const std::string& name, std::uint64_t size) {
    if (size != 0 || has_pax_size()) return refuse("a folder with data");
    if (name != "blobs/" && name != "blobs/sha256/" && name != "./") {
      return refuse("a folder that no image layout has");
    }
    has_pax_ = false;
    at_ += kBlock;
    return {};
  }

  bool has_pax_size() const { return pax_size_.has_value(); }

  Status take_file(const std::string& name, std::uint64_t size) {
    at_ += kBlock;
    if (size > file_.size() - at_) return refuse("a member runs past the end");
    if (!names_.insert(name).second) return refuse("a member comes twice");
    const ArchiveMember member{at_, size};
    const std::string digest =
        name.starts_with(kBlobs) ? "sha256:" + name.substr(kBlobs.size()) : "";
    if (is_valid_digest(digest)) {
      archive_.blobs_[digest] = member;
    } else if (name == "index.json") {
      archive_.index_ = member;
    } else if (name != "oci-layout" && name != "manifest.json") {
      return refuse("a member that no image layout has");
    }
    const std::uint64_t padded = (size + kBlock - 1) / kBlock * kBlock;
    if (padded > file_.size() - at_) return refuse("it is cut short");
    at_ += padded;
    return {};
  }

  /// Length-prefixed records; only a size that the header cannot hold has a meaning here.
  Status take_pax(std::uint64_t size) {
    if (has_pax_) return refuse("two PAX headers for one member");
    has_pax_ = true;
    if (size > kMostPaxBytes) return refuse("a PAX header is too long");
    at_ += kBlock;
    BUNDLE_TRY(const std::string records, file_.read(at_, size));
    at_ += (size + kBlock - 1) / kBlock * kBlock;
    if (at_ > file_.size()) return refuse("it is cut short");
    for (std::string_view rest = records; !rest.empty();) {
      const std::size_t blank = rest.find(' ');
      const auto length = number(rest.substr(0, std::min<std::size_t>(blank, 6)));
      if (blank > 5 || !length || *length <= blank + 1 || *length > rest.size() ||
          rest[*length - 1] != '\n') {
        return refuse("a PAX record has a wrong length");
      }
      BUNDLE_CHECK(take_record(rest.substr(blank + 1, *length - blank - 2)));
      rest.remove_prefix(*length);
    }
    return {};
  }

  static std::optional<std::uint64_t> number(std::string_view digits) {
    std::uint64_t value = 0;
    if (digits.empty() || digits.size() > 18) return std::nullopt;
    for (const char c : digits) {
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
  }

  Status take_record(std::string_view record) {
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) return refuse("a PAX record without a value");
    const std::string_view key = record.substr(0, equals);
    if (is_harmless(key)) return {};
    const auto size = number(record.substr(equals + 1));
    if (key != "size" || pax_size_ || !size || *size <= kMostOctalSize) {
      return refuse("a PAX record that an image layout does not need");
    }
    pax_size_ = size;
    return {};
  }

  ArchiveReader& archive_;
  const VolumeReader& file_;
  std::uint64_t at_ = 0;
  std::optional<std::uint64_t> pax_size_;
  bool has_pax_ = false;
  std::set<std::string> names_;
};

Result<ArchiveReader> ArchiveReader::open(const Path& file) {
  BUNDLE_TRY(VolumeReader volumes, VolumeReader::open(file));
  ArchiveReader archive(std::move(volumes));
  BUNDLE_CHECK(Scanner(archive).scan());
  return archive;
}

const ArchiveMember* ArchiveReader::blob(const std::string& digest) const {
  const auto found = blobs_.find(digest);
  return found == blobs_.end() ? nullptr : &found->second;
}

Result<std::string> ArchiveReader::index() const { return read(index_, kMostIndexBytes); }

Result<std::string> ArchiveReader::read(const ArchiveMember& member, std::uint64_t cap) const {
  if (member.size > cap) return bad_input("a document is too large", file_.name());
  return file_.read(member.offset, member.size);
}

}  // namespace bundle::packager
