// SHA-256, streamed (OpenSSL).
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"

namespace bundle {

/// One running hash. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void update(Bytes bytes);
  /// The 64 hex digits of all that was fed in; the object can not be used after.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The hash of one piece of bytes, 64 hex digits.
std::string sha256_hex(Bytes bytes);
inline std::string sha256_hex(std::string_view text) { return sha256_hex(as_bytes(text)); }

}  // namespace bundle
