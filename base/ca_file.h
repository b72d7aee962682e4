// Which authorities' certificates are trusted on this host.
#pragma once

#include <string>

namespace bundle {

/// A PEM file: SSL_CERT_FILE, else CURL_CA_BUNDLE, else where distributions keep theirs; "" when
/// there is none. Asked for by path, since a program that carries its own OpenSSL would look where
/// that was built to.
std::string system_ca_file();

}  // namespace bundle
