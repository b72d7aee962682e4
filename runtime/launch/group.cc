#include "runtime/launch/group.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>

#include <boost/json/object.hpp>

#include "base/environment.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "runtime/comm/sockets.h"

namespace bundle::launch {
namespace {

constexpr std::uint16_t kDefaultPort = 29500;
constexpr std::size_t kLeastToken = 16;
constexpr std::uint64_t kMostTokenFile = 4096;
constexpr std::uint64_t kMostDocument = 64u << 10;
/// Of each end of a model's file: headers and tables lie there, and some of the weights.
constexpr std::size_t kSample = 64u << 10;
constexpr auto kLogEvery = std::chrono::seconds(10);

Error usage(std::string what, std::string where, std::string remedy = {}) {
  return Error{ErrorCode::kUsage, std::move(what), std::move(where), std::move(remedy)};
}

Result<int> read_number(std::string_view text, const std::string& where) {
  int number = -1;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure == std::errc() && end == text.data() + text.size() && number >= 0) return number;
  return usage("'" + std::string(text) + "' is no number of a machine", where);
}

/// What a scheduler says of this machine's place, as text; "": nothing.
struct Surroundings {
  std::string nodes, node_rank, leader;
};

std::string with_port(const std::string& host, const std::string& port) {
  if (host.empty() || port.empty()) return host;
  return host.find(':') == std::string::npos ? host + ":" + port : "[" + host + "]:" + port;
}

Surroundings look_around() {
  if (std::string nodes = from_environment({"LWS_GROUP_SIZE"}); !nodes.empty()) {
    std::string index = from_environment({"LWS_WORKER_INDEX"});
    // A pod's name, which ends in its index, where the cluster does not say the index itself.
    index = index.substr(index.rfind('-') + 1);
    return {std::move(nodes), std::move(index), from_environment({"LWS_LEADER_ADDRESS"})};
  }
  return {from_environment({"SLURM_NNODES", "SLURM_JOB_NUM_NODES"}),
          from_environment({"SLURM_NODEID"}),
          with_port(from_environment({"MASTER_ADDR"}), from_environment({"MASTER_PORT"}))};
}

/// HOST, HOST:PORT, [HOST]:PORT, or an address of version 6 by itself.
Status read_leader(const std::string& text, Group& group) {
  const std::string where = "--leader";
  const bool bracketed = text.starts_with('[');
  const auto close = bracketed ? text.find(']') : std::string::npos;
  if (bracketed && close == text.npos) return usage("'" + text + "' is no address", where);
  const bool colons = std::count(text.begin(), text.end(), ':') > 1;
  const auto colon = bracketed ? text.find(':', close) : colons ? text.npos : text.find(':');
  group.leader_host = bracketed ? text.substr(1, close - 1) : text.substr(0, colon);
  if (group.leader_host.empty()) return usage("'" + text + "' is no address", where);
  group.leader_port = kDefaultPort;
  if (colon == text.npos) return {};
  BUNDLE_TRY(const int port, read_number(std::string_view(text).substr(colon + 1), where));
  if (port < 1 || port > 65535) return usage("there is no port " + std::to_string(port), where);
  group.leader_port = static_cast<std::uint16_t>(port);
  return {};
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

Result<std::string> read_token(const Arguments& arguments) {
  if (arguments.group_token_file.empty()) return from_environment({"BUNDLE_GROUP_TOKEN"});
  BUNDLE_TRY(std::string text, read_file(arguments.group_token_file, kMostTokenFile));
  return trimmed(std::move(text));
}

Status check_token(const Arguments& arguments, const Group& group) {
  if (group.token.empty()) {
    if (arguments.group_without_token || comm::is_loopback_address(group.leader_host)) return {};
    return usage("a group that the network reaches needs a token", "--group-token-file",
                 "Give all machines a file with the same secret, of 16 bytes or more; or "
                 "--group-without-token on a network that nobody else is on.");
  }
  if (group.token.size() >= kLeastToken) return {};
  return usage(
      "the group's token is shorter than 16 bytes, and could be guessed",
      arguments.group_token_file.empty() ? "BUNDLE_GROUP_TOKEN" : arguments.group_token_file);
}

Status check_place(const Group& group, const Surroundings& around, bool automatic) {
  if (group.nodes < 1 || group.nodes > comm::kMostRanks) {
    return usage("a group has 1 to " + std::to_string(comm::kMostRanks) + " machines", "--nodes");
  }
  if (around.node_rank.empty()) {
    return usage("which machine of the group this is, is not said", "--node-rank",
                 automatic ? "LWS_WORKER_INDEX or SLURM_NODEID would say it." : "");
  }
  if (group.node_rank < group.nodes) return {};
  return usage("there is no machine " + std::to_string(group.node_rank) + " of " +
                   std::to_string(group.nodes) + ", counted from 0",
               "--node-rank");
}

/// SHA-256 of the files' names, lengths, and what lies at their two ends.
Result<std::string> fingerprint(const format::ModelSource& model) {
  Sha256 hash;
  for (const format::SourceFile& file : model.files()) {
    BUNDLE_TRY(const MappedFile mapped, model.map(file.name));
    const Bytes bytes = mapped.bytes();
    hash.update(as_bytes(file.name + "\n" + std::to_string(bytes.size()) + "\n"));
    const std::size_t sample = std::min(bytes.size(), kSample);
    hash.update(bytes.first(sample));
    hash.update(bytes.last(sample));
  }
  return "sha256:" + hash.hex();
}

std::string speculation_name(engine::Speculation speculation) {
  return speculation == engine::Speculation::kModel ? "mtp" : "not mtp";
}

}  // namespace

std::string Group::name() const {
  return "machine " + std::to_string(node_rank + 1) + " of " + std::to_string(nodes);
}

Result<Group> read_group(const Arguments& arguments) {
  Group group;
  const bool automatic = arguments.nodes == "auto";
  if (arguments.nodes.empty()) return group;
  Surroundings around = automatic ? look_around() : Surroundings{};
  if (!automatic) around.nodes = arguments.nodes;
  if (arguments.node_rank) around.node_rank = std::to_string(*arguments.node_rank);
  if (!arguments.leader.empty()) around.leader = arguments.leader;
  if (around.nodes.empty()) {
    return usage("nothing says how many machines the group has", "--nodes auto",
                 "It asks LWS_GROUP_SIZE or SLURM_NNODES; give a number elsewhere.");
  }
  BUNDLE_TRY(group.nodes, read_number(around.nodes, "--nodes"));
  if (group.nodes == 1) return group;
  if (!around.node_rank.empty()) {
    BUNDLE_TRY(group.node_rank, read_number(around.node_rank, "--node-rank"));
  }
  BUNDLE_CHECK(check_place(group, around, automatic));
  if (around.leader.empty()) {
    return usage("where the group's first machine is, is not said", "--leader",
                 automatic ? "LWS_LEADER_ADDRESS or MASTER_ADDR would say it." : "");
  }
  BUNDLE_CHECK(read_leader(around.leader, group));
  group.own_host = arguments.node_host;
  BUNDLE_TRY(group.token, read_token(arguments));
  BUNDLE_CHECK(check_token(arguments, group));
  return group;
}

Result<std::string> group_document(const Group& group, const LaunchSpec& spec,
                                   const RuntimeSettings& settings) {
  if (group.alone()) return std::string();
  const std::int64_t ranks = settings.parallel.ranks();
  if (ranks % group.nodes != 0) {
    return usage(std::to_string(ranks) + " rank(s) do not divide over " +
                     std::to_string(group.nodes) + " machines",
                 "--nodes",
                 "runtime.parallel.tensor times runtime.parallel.pipeline is the number of ranks.");
  }
  BUNDLE_TRY(const std::string model, fingerprint(spec.model));
  const model::Parallel& parallel = settings.parallel;
  JsonObject facts{{"version of bundle-server", BUNDLE_VERSION},
                   {"model", model},
                   {"runtime.parallel.tensor", std::to_string(parallel.tensor)},
                   {"runtime.parallel.pipeline", std::to_string(parallel.pipeline)},
                   {"runtime.parallel.expert", std::to_string(parallel.expert)},
                   {"runtime.parallel.data", std::to_string(parallel.data)},
                   {"runtime.speculation", speculation_name(settings.engine.speculation)},
                   {"runtime.backend", settings.backend}};
  return print_json(JsonObject{{"ranks", ranks},
                               {"nodes", group.nodes},
                               {"leader_host", group.leader_host},
                               {"leader_port", group.leader_port},
                               {"own_host", group.own_host},
                               {"token", group.token},
                               {"facts", std::move(facts)}});
}

Result<comm::GroupPlace> read_group_document(int fd) {
  constexpr const char* kWhere = "the group's document";
  BUNDLE_TRY(const std::string text,
             read_file("/proc/self/fd/" + std::to_string(fd), kMostDocument));
  BUNDLE_TRY(const Json value, parse_json(text, kWhere));
  comm::GroupPlace place;
  BUNDLE_TRY(const std::int64_t ranks, get_int(value, "ranks", kWhere));
  BUNDLE_TRY(const std::int64_t nodes, get_int(value, "nodes", kWhere));
  BUNDLE_TRY(const std::int64_t port, get_int(value, "leader_port", kWhere));
  BUNDLE_TRY(place.leader_host, get_string(value, "leader_host", kWhere));
  BUNDLE_TRY(place.own_host, get_string(value, "own_host", kWhere));
  BUNDLE_TRY(place.token, get_string(value, "token", kWhere));
  place.ranks = static_cast<int>(ranks);
  place.nodes = static_cast<int>(nodes);
  place.leader_port = static_cast<std::uint16_t>(port);
  const Json* facts = find(value, "facts");
  if (facts == nullptr || !facts->is_object()) return bad_input("'facts' is missing", kWhere);
  for (const auto& [name, fact] : facts->get_object()) {
    place.facts.emplace_back(std::string(name), std::string(fact.as_string()));
  }
  return place;
}

comm::TcpOptions meeting_options(const Progress& progress) {
  using Clock = std::chrono::steady_clock;
  comm::TcpOptions options;
  options.warn = [](const std::string& what) { log_warning(what); };
  options.progress = [progress, told = std::string(), next = Clock::time_point()](
                         std::string_view stage, std::uint64_t done, std::uint64_t total) mutable {
    if (stage != told || Clock::now() >= next) {
      log_info(stage);
      told = stage;
      next = Clock::now() + kLogEvery;
    }
    return !progress || progress(stage, done, total);
  };
  return options;
}

}  // namespace bundle::launch
