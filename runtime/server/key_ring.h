// The keys that are accepted now, and the clients behind them.
#pragma once

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "runtime/server/client.h"

namespace bundle::server {

/// Thread-safe.
class KeyRing {
 public:
  explicit KeyRing(std::vector<ApiKey> keys) { replace(std::move(keys)); }

  /// From now on these are accepted. A key that stays as it was keeps what it has used up.
  void replace(std::vector<ApiKey> keys);

  /// Without keys the API is open to everybody.
  bool open() const;
  /// Whom a secret belongs to; null when it is nobody's. Takes the same time for every secret: it
  /// compares hashes, all of them and each to its end.
  std::shared_ptr<Client> find(std::string_view secret) const;
  /// Who asks without a key where none is needed.
  const std::shared_ptr<Client>& anybody() const { return anybody_; }

 private:
  const std::shared_ptr<Client> anybody_ = std::make_shared<Client>(ApiKey{"anonymous", {}});
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Client>> clients_;
};

}  // namespace bundle::server
