// A real registry (Debian's docker-registry) on loopback, in a folder of its own, for one test.
#pragma once

#include <string>

#include "base/file.h"
#include "base/process.h"

namespace bundle::packager::sample {

/// Started by the constructor, ended by the destructor. `address` is "127.0.0.1:PORT".
class RegistryProcess {
 public:
  /// Needs the program docker-registry (scripts/setup --dev); throws when it does not start.
  explicit RegistryProcess(const Path& folder);
  RegistryProcess(const RegistryProcess&) = delete;
  RegistryProcess& operator=(const RegistryProcess&) = delete;
  ~RegistryProcess();

  const std::string& address() const { return address_; }

 private:
  std::string address_;
  pid_t pid_ = -1;
};

}  // namespace bundle::packager::sample
