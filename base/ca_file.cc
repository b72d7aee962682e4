#include "base/ca_file.h"

#include <unistd.h>

#include "base/environment.h"

namespace bundle {

std::string system_ca_file() {
  if (const std::string given = from_environment({"SSL_CERT_FILE", "CURL_CA_BUNDLE"});
      !given.empty()) {
    return given;
  }
  for (const char* path : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                           "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
    if (::access(path, R_OK) == 0) return path;
  }
  return "";
}

}  // namespace bundle
