// The command line of bundle-server (docs/launch-contract.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/launch/contract.h"
#include "runtime/server/api_key.h"

namespace bundle::launch {

struct Arguments {
  std::string launch_file;
  std::string model_path;
  std::string name;  // "": the launch document's, or made from the path
  std::string host = "127.0.0.1";
  std::uint16_t port = 8000;
  std::optional<std::uint16_t> admin_port;
  std::string admin_host = "127.0.0.1";
  std::string api_key_file;
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_client_ca;
  std::string access_log;  // a file, "-" for standard error
  std::vector<std::string> cors_origins;
  int drain_seconds = 30;
  int idle_exit_seconds = 0;  // 0: never
  int step_seconds = 120;
  std::string nodes;  // "": this machine alone; a number, or "auto"
  std::optional<int> node_rank;
  std::string leader;  // HOST:PORT
  std::string node_host;
  std::string group_token_file;
  bool group_without_token = false;
  std::vector<std::string> settings;
};

/// What a command line asks for: serve, or say something (help, version) and end.
struct CommandLine {
  Arguments arguments;
  std::optional<std::string> say;
};

/// kUsage when it is wrong.
Result<CommandLine> parse_arguments(const std::vector<std::string>& words);

/// The launch document or model that the arguments name, with their settings applied.
Result<LaunchSpec> launch_spec(const Arguments& arguments);

/// See server::parse_key_file.
Result<std::vector<server::ApiKey>> read_api_keys(const std::string& path);

}  // namespace bundle::launch
