#include "packager/tar_layer.h"

#include <array>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kNameBytes = 100;
constexpr std::uint64_t kMostOctalSize = 077777777777;  // eleven octal digits: 8 GiB - 1
constexpr std::size_t kMostPaxBytes = 8 * kBlock;
constexpr std::size_t kMostPathBytes = 512;
constexpr std::size_t kMostMembers = 20000;
constexpr std::string_view kComment = "comment=bundle layer format 1";

/// The fields of a POSIX ustar header, in order.
struct UstarHeader {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6];
  char version[2];
  char user[32];
  char group[32];
  char device_major[8];
  char device_minor[8];
  char prefix[155];
  char pad[12];
};
static_assert(sizeof(UstarHeader) == kBlock);

template <std::size_t N>
void put(char (&field)[N], std::string_view text) {
  std::memcpy(field, text.data(), std::min(N, text.size()));
}

std::uint64_t sum_of(UstarHeader header) {
  std::memset(header.checksum, ' ', sizeof header.checksum);
  std::array<unsigned char, kBlock> bytes;
  std::memcpy(bytes.data(), &header, kBlock);
  std::uint64_t sum = 0;
  for (const unsigned char byte : bytes) sum += byte;
  return sum;
}

std::string ustar_header(std::string_view name, std::uint64_t size, unsigned mode, char type) {
  UstarHeader header{};
  put(header.name, name.substr(0, kNameBytes));
  put(header.mode, fmt::format("{:07o}", mode));
  put(header.uid, "0000000");
  put(header.gid, "0000000");
  put(header.size, fmt::format("{:011o}", size > kMostOctalSize ? 0 : size));
  put(header.mtime, "00000000000");
  header.type = type;
  put(header.magic, "ustar");
  put(header.version, "00");
  put(header.device_major, "0000000");
  put(header.device_minor, "0000000");
  put(header.checksum, fmt::format("{:06o}", sum_of(header)));
  header.checksum[7] = ' ';
  return {reinterpret_cast<const char*>(&header), kBlock};
}

/// "LEN text\n", where LEN counts itself.
std::string pax_record(std::string_view text) {
  const std::size_t rest = text.size() + 2;  // the blank and the line's end
  std::size_t length = rest + 1;
  while (fmt::formatted_size("{}", length) + rest != length) ++length;
  return fmt::format("{} {}\n", length, text);
}

bool is_plain_ascii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) > 0x7e) return false;
  }
  return true;
}

/// The PAX records that a member cannot do without.
std::string needed_records(std::string_view path, std::uint64_t size) {
  std::string records;
  if (path.size() > kNameBytes || !is_plain_ascii(path)) {
    records += pax_record("path=" + std::string(path));
  }
  if (size > kMostOctalSize) records += pax_record("size=" + std::to_string(size));
  return records;
}

std::string pax_member(const std::string& records) {
  return ustar_header("pax", records.size(), kPlainMode, 'x') + records +
         member_padding(records.size());
}

}  // namespace

std::string member_padding(std::uint64_t size) {
  return std::string((kBlock - size % kBlock) % kBlock, '\0');
}

std::string layer_end() { return std::string(2 * kBlock, '\0'); }

std::uint64_t weight_layer_size(std::uint64_t size) {
  return kWeightDataOffset + size + member_padding(size).size() + layer_end().size();
}

std::string weight_header(std::string_view path, std::uint64_t size) {
  std::string records = needed_records(path, size);
  const std::size_t left = kWeightDataOffset - 2 * kBlock - records.size();
  std::string comment(kComment);
  comment.resize(left - fmt::formatted_size("{} \n", left), ' ');
  records += pax_record(comment);
  return pax_member(records) + ustar_header(path, size, kPlainMode, '0');
}

std::string member_header(std::string_view path, std::uint64_t size, unsigned mode) {
  const std::string records = needed_records(path, size);
  return (records.empty() ? "" : pax_member(records)) + ustar_header(path, size, mode, '0');
}

std::string member_path_fault(std::string_view path) {
  if (path.empty() || path.size() > kMostPathBytes) return "its length is 0 or over 512 bytes";
  if (!is_valid_utf8(path)) return "it is not valid UTF-8";
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "it holds a control character";
    if (c == '\\') return "it holds a backslash";
  }
  for (std::string_view rest = path;;) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return "it is not a canonical relative path";
    if (part.front() == '-') return "a part of it starts with '-'";
    if (part.size() > 255) return "a part of it is longer than 255 bytes";
    if (slash == rest.size()) return "";
    rest.remove_prefix(slash + 1);
  }
}

namespace {

/// Walks the headers of one layer with pread; `left` is what remains behind `at_`.
class LayerReader {
 public:
  LayerReader(Fd fd, std::uint64_t size, std::string where)
      : fd_(std::move(fd)), size_(size), where_(std::move(where)) {}

  Result<std::vector<TarMember>> members() {
    std::vector<TarMember> members;
    for (;;) {
      BUNDLE_TRY(const bool is_end, at_end());
      if (is_end) return members;
      BUNDLE_TRY(TarMember member, next());
      if (members.size() == kMostMembers) return refuse("it has over 20000 members");
      if (!paths_.insert(member.path).second) {
        return refuse("the path '" + member.path + "' comes twice");
      }
      members.push_back(std::move(member));
    }
  }

 private:
  struct Records {
    std::optional<std::string> path;
    std::optional<std::uint64_t> size;
  };

  Error refuse(const std::string& what) const {
    return bad_input("not a layer of this format: " + what,
                     where_ + " at byte " + std::to_string(at_),
                     "The bundle is damaged or was not written by this program; build it again.");
  }

  std::uint64_t left() const { return size_ - at_; }

  Result<std::string> read(std::uint64_t count) {
    if (count > left()) return refuse("it is cut short");
    std::string bytes(count, '\0');
    for (std::size_t done = 0; done < count;) {
      const ssize_t n =
          ::pread(fd_.get(), bytes.data() + done, count - done, static_cast<off_t>(at_ + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return system_error("cannot read the layer", where_);
      if (n == 0) return refuse("it is cut short");
      done += static_cast<std::size_t>(n);
    }
    at_ += count;
    return bytes;
  }

  /// True at the two zero blocks, which must be the last bytes of the file.
  Result<bool> at_end() {
    const std::uint64_t start = at_;
    BUNDLE_TRY(const std::string block, read(kBlock));
    if (block.find_first_not_of('\0') != std::string::npos) {
      at_ = start;
      return false;
    }
    BUNDLE_TRY(const std::string second, read(kBlock));
    if (second.find_first_not_of('\0') != std::string::npos || left() != 0) {
      return refuse("something follows its end");
    }
    return true;
  }

  Result<UstarHeader> header() {
    BUNDLE_TRY(const std::string block, read(kBlock));
    UstarHeader header;
    std::memcpy(&header, block.data(), kBlock);
    return header;
  }

  static std::optional<std::uint64_t> octal(std::string_view digits) {
    std::uint64_t value = 0;
    for (const char c : digits) {
      if (c < '0' || c > '7') return std::nullopt;
      value = value * 8 + static_cast<std::uint64_t>(c - '0');
    }
    return value;
  }

  static std::string_view name_of(const UstarHeader& header) {
    return {header.name, ::strnlen(header.name, kNameBytes)};
  }

  /// The header must be the one that the writer would have written: that checks the constant
  /// fields and the checksum too.
  Status check(const UstarHeader& header, std::string_view name, std::uint64_t size,
               unsigned mode) const {
    const std::string wanted = ustar_header(name, size, mode, header.type);
    if (std::memcmp(wanted.data(), &header, kBlock) != 0)
      return refuse("a header is not as written");
    return {};
  }

  Result<Records> pax_records(const UstarHeader& header) {
    const auto size = octal({header.size, 11});
    if (!size || *size > kMostPaxBytes) return refuse("a PAX header is too long");
    BUNDLE_CHECK(check(header, "pax", *size, kPlainMode));
    BUNDLE_TRY(const std::string text, read(*size));
    BUNDLE_TRY(const std::string padding, read(member_padding(*size).size()));
    if (padding.find_first_not_of('\0') != std::string::npos) return refuse("padding is not zero");
    return parse_records(text);
  }

  Result<Records> parse_records(std::string_view text) const {
    Records records;
    while (!text.empty()) {
      const std::size_t blank = text.find(' ');
      if (blank == std::string_view::npos || blank > 5) return refuse("a PAX record has no length");
      std::size_t length = 0;
      for (const char c : text.substr(0, blank)) {
        if (c < '0' || c > '9') return refuse("a PAX record has no length");
        length = length * 10 + static_cast<std::size_t>(c - '0');
      }
      if (length < blank + 2 || length > text.size() || text[length - 1] != '\n') {
        return refuse("a PAX record has a wrong length");
      }
      BUNDLE_CHECK(take_record(text.substr(blank + 1, length - blank - 2), records));
      text.remove_prefix(length);
    }
    return records;
  }

  Status take_record(std::string_view record, Records& records) const {
    if (record.starts_with("comment=")) return {};
    if (record.starts_with("path=") && !records.path) {
      records.path = record.substr(5);
      return {};
    }
    if (record.starts_with("size=") && !records.size) {
      std::uint64_t size = 0;
      const std::string_view digits = record.substr(5);
      if (digits.empty() || digits.size() > 18) return refuse("a PAX size is out of range");
      for (const char c : digits) {
        if (c < '0' || c > '9') return refuse("a PAX size is no number");
        size = size * 10 + static_cast<std::uint64_t>(c - '0');
      }
      if (size <= kMostOctalSize) return refuse("a PAX size that its header could hold");
      records.size = size;
      return {};
    }
    return refuse("a PAX record other than comment, path and size");
  }

  Result<TarMember> next() {
    BUNDLE_TRY(UstarHeader first, header());
    Records records;
    if (first.type == 'x') {
      BUNDLE_TRY(records, pax_records(first));
      BUNDLE_TRY(first, header());
    }
    if (first.type != '0') return refuse("a member that is no regular file");
    const auto octal_size = octal({first.size, 11});
    if (!octal_size) return refuse("a size is no number");
    TarMember member;
    member.path = records.path ? *records.path : std::string(name_of(first));
    member.size = records.size.value_or(*octal_size);
    member.mode = octal({first.mode, 7}) == kProgramMode ? kProgramMode : kPlainMode;
    BUNDLE_CHECK(check(first, member.path, member.size, member.mode));
    if (const std::string fault = member_path_fault(member.path); !fault.empty()) {
      return refuse("a member's path: " + fault);
    }
    member.offset = at_;
    return skip_data(std::move(member));
  }

  Result<TarMember> skip_data(TarMember member) {
    if (member.size > left()) return refuse("'" + member.path + "' runs past the end");
    at_ += member.size;
    BUNDLE_TRY(const std::string padding, read(member_padding(member.size).size()));
    if (padding.find_first_not_of('\0') != std::string::npos) return refuse("padding is not zero");
    return member;
  }

  Fd fd_;
  std::uint64_t size_;
  std::uint64_t at_ = 0;
  std::string where_;
  std::set<std::string> paths_;
};

}  // namespace

Result<std::vector<TarMember>> read_layer(const Path& layer) {
  Fd fd(::open(layer.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return system_error("cannot open the layer", layer.string());
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error("cannot stat the layer", layer.string());
  if (!S_ISREG(info.st_mode)) return bad_input("not a regular file", layer.string());
  return LayerReader(std::move(fd), static_cast<std::uint64_t>(info.st_size), layer.string())
      .members();
}

}  // namespace bundle::packager
