// Proof that a text comes from one who knows a secret (HMAC with SHA-256, OpenSSL).
#pragma once

#include <string>
#include <string_view>

namespace bundle {

/// 32 bytes.
std::string hmac_sha256(std::string_view key, std::string_view text);

/// Takes as long for two texts of one length whatever they hold, so that how long it took tells
/// nothing about a secret.
bool equals_in_constant_time(std::string_view a, std::string_view b);

}  // namespace bundle
