#include "runtime/server/key_ring.h"

#include <algorithm>

#include "base/hmac.h"
#include "base/sha256.h"

namespace bundle::server {
void KeyRing::replace(std::vector<ApiKey> keys) {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Client>> fresh;
  for (ApiKey& key : keys) {
    const auto same = std::find_if(clients_.begin(), clients_.end(),
                                   [&](const auto& client) { return client->key() == key; });
    fresh.push_back(same == clients_.end() ? std::make_shared<Client>(std::move(key)) : *same);
  }
  clients_ = std::move(fresh);
}

bool KeyRing::open() const {
  const std::lock_guard lock(mutex_);
  return clients_.empty();
}

std::shared_ptr<Client> KeyRing::find(std::string_view secret) const {
  const std::string hash = sha256_hex(secret);
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Client> found;
  for (const auto& client : clients_) {
    if (equals_in_constant_time(hash, client->key().hash)) found = client;
  }
  return found;
}

}  // namespace bundle::server
