// The front of a self-running bundle: unpacks the server that follows in this very file, once for
// each user and version, and becomes it. Linked statically and written with system calls alone, so
// that it runs where nothing is installed.
//
// The directory at the file's end has one line for each file of the runtime,
//   file MODE OFFSET SIZE PATH
// then "launch SIZE" and the launch document, in which @SELF@ stands for this file's path.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "packager/launcher/trailer.h"

namespace bundle::packager {
namespace {

constexpr std::uint64_t kMostDirectoryBytes = 64u << 20;

[[noreturn]] void fail(const std::string& what, const std::string& where) {
  const std::string reason = errno == 0 ? "" : std::string(": ") + std::strerror(errno);
  std::fprintf(stderr, "error: %s%s\n  at %s\n", what.c_str(), reason.c_str(), where.c_str());
  std::exit(1);
}

/// One file of the runtime within this one.
struct Entry {
  unsigned mode = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::string path;
};

struct Directory {
  std::vector<Entry> files;
  std::string launch;
};

std::string self_path() {
  char path[4096];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0 || n == static_cast<ssize_t>(sizeof path)) fail("cannot find this file", "/proc");
  return {path, static_cast<std::size_t>(n)};
}

std::string read_at(int fd, std::uint64_t offset, std::uint64_t size, const std::string& self) {
  std::string bytes(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const ssize_t n =
        ::pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("this file is cut short", self);
    done += static_cast<std::size_t>(n);
  }
  return bytes;
}

Trailer read_trailer(int fd, const std::string& self) {
  struct stat info {};
  Trailer trailer;
  if (::fstat(fd, &info) != 0 || info.st_size < static_cast<off_t>(sizeof trailer)) {
    fail("this file holds no bundle", self);
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  const std::string bytes = read_at(fd, size - sizeof trailer, sizeof trailer, self);
  std::memcpy(&trailer, bytes.data(), sizeof trailer);
  errno = 0;
  if (std::memcmp(trailer.magic, kTrailerMagic, sizeof trailer.magic) != 0) {
    fail("this file holds no bundle: export one with 'bundle export --to executable'", self);
  }
  if (trailer.directory_size > kMostDirectoryBytes || trailer.directory_size > size ||
      trailer.directory_offset > size - trailer.directory_size) {
    fail("this file is damaged: copy it again", self);
  }
  return trailer;
}

Directory read_directory(int fd, const Trailer& trailer, const std::string& self) {
  const std::string text = read_at(fd, trailer.directory_offset, trailer.directory_size, self);
  Directory directory;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string::npos) break;
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    Entry entry;
    unsigned long long offset = 0;
    unsigned long long size = 0;
    int path = 0;
    if (std::sscanf(line.c_str(), "file %o %llu %llu %n", &entry.mode, &offset, &size, &path) ==
        3) {
      entry.offset = offset;
      entry.size = size;
      entry.path = line.substr(static_cast<std::size_t>(path));
      directory.files.push_back(entry);
    } else if (std::sscanf(line.c_str(), "launch %llu", &size) == 1 && size <= text.size() - at) {
      directory.launch = text.substr(at, size);
      return directory;
    }
  }
  fail("this file is damaged: copy it again", self);
}

void make_parents(const std::string& file, std::size_t root) {
  for (std::size_t slash = file.find('/', root + 1); slash != std::string::npos;
       slash = file.find('/', slash + 1)) {
    if (::mkdir(file.substr(0, slash).c_str(), 0700) != 0 && errno != EEXIST) return;
  }
}

bool copy_out(int from, const Entry& entry, const std::string& target) {
  const int out =
      ::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (out < 0) return false;
  auto offset = static_cast<off_t>(entry.offset);
  std::uint64_t left = entry.size;
  while (left > 0) {
    const ssize_t n = ::sendfile(out, from, &offset, left);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    left -= static_cast<std::uint64_t>(n);
  }
  const bool done = left == 0 && ::fchmod(out, entry.mode & 0755) == 0;
  ::close(out);
  return done;
}

/// A folder that only this user can change.
bool is_own_folder(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == ::getuid() &&
         (info.st_mode & 022) == 0;
}

/// Whether programs may be started from there: a file system can forbid it.
bool may_execute(const std::string& program) { return ::access(program.c_str(), X_OK) == 0; }

void remove_tree(const Directory& directory, const std::string& root) {
  for (const Entry& entry : directory.files) ::unlink((root + '/' + entry.path).c_str());
  for (const char* folder : {"/runtime/bin", "/runtime/lib", "/runtime", ""}) {
    ::rmdir((root + folder).c_str());
  }
}

/// Unpacks below `base`; "" when that cannot hold programs. A second process that does the same at
/// the same time finds the folder there.
std::string unpack(int self, const Directory& directory, const std::string& base,
                   const std::string& key) {
  const std::string own = base + "/bundle-" + std::to_string(::getuid());
  const std::string target = own + '/' + key;
  if (::mkdir(own.c_str(), 0700) != 0 && errno != EEXIST) return "";
  if (!is_own_folder(own)) return "";
  const std::string program = target + "/runtime/bin/bundle-server";
  if (is_own_folder(target)) return may_execute(program) ? target : "";
  std::string fresh = own + "/unfinished-XXXXXX";
  if (::mkdtemp(fresh.data()) == nullptr) return "";
  bool done = true;
  for (const Entry& entry : directory.files) {
    const std::string file = fresh + '/' + entry.path;
    make_parents(file, fresh.size());
    done = done && copy_out(self, entry, file);
  }
  if (done && ::rename(fresh.c_str(), target.c_str()) == 0) {
    return may_execute(program) ? target : "";
  }
  remove_tree(directory, fresh);
  return is_own_folder(target) && may_execute(program) ? target : "";
}

std::vector<std::string> bases(const std::string& self) {
  std::vector<std::string> found;
  for (const char* name : {"XDG_RUNTIME_DIR", "TMPDIR"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value == '/') {
      found.emplace_back(value);
    }
  }
  for (const char* path : {"/tmp", "/var/tmp", "/dev/shm"}) found.emplace_back(path);
  found.push_back(self.substr(0, self.rfind('/')));
  return found;
}

std::string unpacked(int fd, const Directory& directory, const std::string& key,
                     const std::string& self) {
  for (const std::string& base : bases(self)) {
    if (const std::string root = unpack(fd, directory, base, key); !root.empty()) return root;
  }
  errno = 0;
  fail("no folder can hold the server: set TMPDIR to one where programs may run", self);
}

std::string json_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// The launch document for where this file lies now, in memory that the server inherits.
std::string launch_file(const Directory& directory, const std::string& self) {
  std::string text = directory.launch;
  const std::string path = json_text(self);
  for (std::size_t at = text.find(kSelfMark); at != std::string::npos;
       at = text.find(kSelfMark, at + path.size())) {
    text.replace(at, std::strlen(kSelfMark), path);
  }
  const int fd = ::memfd_create("launch.json", 0);
  if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    fail("cannot write the launch document", self);
  }
  return "/proc/self/fd/" + std::to_string(fd);
}

int run(int argc, char** argv) {
  const std::string self = self_path();
  const int fd = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("cannot open this file", self);
  const Trailer trailer = read_trailer(fd, self);
  const Directory directory = read_directory(fd, trailer, self);
  const std::string key(trailer.key, ::strnlen(trailer.key, sizeof trailer.key));
  const std::string root = unpacked(fd, directory, key, self);
  std::vector<std::string> words = {
      root + "/runtime/lib/ld-linux-x86-64.so.2", "--library-path", root + "/runtime/lib",
      root + "/runtime/bin/bundle-server",        "--launch",       launch_file(directory, self)};
  words.insert(words.end(), argv + 1, argv + argc);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(pointers[0], pointers.data());
  fail("cannot start the server", words[0]);
}

}  // namespace
}  // namespace bundle::packager

int main(int argc, char** argv) { return bundle::packager::run(argc, argv); }
