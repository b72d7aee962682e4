#include "packager/elf.h"

#include <cstring>
#include <elf.h>
#include <optional>

#include "base/bytes.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kMostEntries = 4096;

class ElfReader {
 public:
  ElfReader(Bytes bytes, const Path& path) : bytes_(bytes), path_(path) {}

  Result<ElfFile> read() {
    BUNDLE_TRY(const auto header, at<Elf64_Ehdr>(0));
    const bool is_ours = std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
                         header.e_ident[EI_CLASS] == ELFCLASS64 &&
                         header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == EM_X86_64;
    if (!is_ours) return refuse("not a program or library for x86-64");
    BUNDLE_CHECK(read_segments(header));
    BUNDLE_CHECK(read_dynamic());
    return std::move(file_);
  }

 private:
  Error refuse(const std::string& what) const { return bad_input(what, path_.string()); }

  template <typename T>
  Result<T> at(std::uint64_t offset) const {
    if (offset > bytes_.size() || sizeof(T) > bytes_.size() - offset) {
      return refuse("the ELF file is cut short");
    }
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof(T));
    return value;
  }

  Status read_segments(const Elf64_Ehdr& header) {
    for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
      BUNDLE_TRY(const auto segment, at<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr)));
      if (segment.p_type == PT_LOAD) loads_.push_back(segment);
      if (segment.p_type == PT_DYNAMIC) dynamic_ = segment;
      if (segment.p_type == PT_INTERP) {
        BUNDLE_TRY(file_.interpreter, text(segment.p_offset));
      }
    }
    return {};
  }

  /// The text that ends with the next zero byte.
  Result<std::string> text(std::uint64_t offset) const {
    if (offset >= bytes_.size()) return refuse("a name lies outside the ELF file");
    const std::string_view rest = as_text(bytes_).substr(offset);
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos || end > 4096) return refuse("a name has no end");
    return std::string(rest.substr(0, end));
  }

  std::optional<std::uint64_t> offset_of(std::uint64_t address) const {
    for (const Elf64_Phdr& load : loads_) {
      if (address >= load.p_vaddr && address - load.p_vaddr < load.p_filesz) {
        return load.p_offset + (address - load.p_vaddr);
      }
    }
    return std::nullopt;
  }

  Result<std::vector<Elf64_Dyn>> entries() const {
    std::vector<Elf64_Dyn> entries;
    for (std::uint64_t i = 0; i < kMostEntries; ++i) {
      BUNDLE_TRY(const auto entry, at<Elf64_Dyn>(dynamic_->p_offset + i * sizeof(Elf64_Dyn)));
      if (entry.d_tag == DT_NULL) return entries;
      entries.push_back(entry);
    }
    return refuse("its dynamic section has no end");
  }

  Status read_dynamic() {
    if (!dynamic_) return {};  // linked statically
    BUNDLE_TRY(const auto entries, this->entries());
    std::optional<std::uint64_t> names;
    for (const Elf64_Dyn& entry : entries) {
      if (entry.d_tag == DT_STRTAB) names = offset_of(entry.d_un.d_ptr);
    }
    for (const Elf64_Dyn& entry : entries) {
      const bool is_path = entry.d_tag == DT_RUNPATH || entry.d_tag == DT_RPATH;
      if (entry.d_tag != DT_NEEDED && !is_path) continue;
      if (!names || entry.d_un.d_val > bytes_.size()) return refuse("it has no table of names");
      BUNDLE_TRY(const std::string name, text(*names + entry.d_un.d_val));
      if (is_path) {
        add_folders(name);
      } else {
        file_.needed.push_back(name);
      }
    }
    return {};
  }

  void add_folders(std::string_view list) {
    while (!list.empty()) {
      const std::size_t colon = std::min(list.find(':'), list.size());
      std::string folder(list.substr(0, colon));
      for (const std::string_view origin : {"$ORIGIN", "${ORIGIN}"}) {
        if (const std::size_t found = folder.find(origin); found != std::string::npos) {
          folder.replace(found, origin.size(), path_.parent_path().string());
        }
      }
      if (!folder.empty()) file_.runpath.push_back(folder);
      list.remove_prefix(std::min(colon + 1, list.size()));
    }
  }

  Bytes bytes_;
  const Path& path_;
  ElfFile file_;
  std::vector<Elf64_Phdr> loads_;
  std::optional<Elf64_Phdr> dynamic_;
};

}  // namespace

Result<ElfFile> read_elf(const Path& path) {
  BUNDLE_TRY(const MappedFile map, MappedFile::open(path));
  return ElfReader(map.bytes(), path).read();
}

}  // namespace bundle::packager
