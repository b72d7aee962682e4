#include "cloud/server_options.h"

namespace bundle::cloud {

std::vector<std::string> server_options(const DeploymentSpec& spec, const ServerFiles& files,
                                        std::uint16_t admin_port) {
  std::vector<std::string> words = {"--drain-seconds", std::to_string(spec.drain_seconds)};
  const auto add = [&words](const char* option, const std::string& value) {
    if (value.empty()) return;
    words.emplace_back(option);
    words.push_back(value);
  };
  if (admin_port != 0) add("--admin-port", std::to_string(admin_port));
  add("--api-key-file", files.api_keys);
  add("--tls-cert", files.tls.certificate);
  add("--tls-key", files.tls.key);
  add("--tls-client-ca", files.tls.client_ca);
  add("--access-log", spec.access_log);
  return words;
}

std::vector<std::string> name_option(const DeploymentSpec& spec) {
  const Json* name = spec.launch.if_contains("name");
  if (name == nullptr || !name->is_string()) return {};
  return {"--name", std::string(name->get_string())};
}

ServerFiles files_in(const std::string& folder, const DeploymentSpec& spec) {
  const auto place = [&folder](const std::string& source, const char* name) {
    return source.empty() ? "" : folder + "/" + name;
  };
  return {place(spec.api_key_file, "api-keys"),
          {place(spec.tls.certificate, "tls-certificate"), place(spec.tls.key, "tls-key"),
           place(spec.tls.client_ca, "tls-client-ca")}};
}

std::string scheme_of(const DeploymentSpec& spec) { return spec.tls.on() ? "https" : "http"; }

}  // namespace bundle::cloud
