#include "runtime/comm/introduction.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/json.h"
#include "base/text.h"

namespace bundle::comm {
namespace {

constexpr const char* kWhere = "what a rank says of itself";
constexpr std::int64_t kMostNodes = kMostRanks;

Result<int> whole(const Json& value, const char* key, std::int64_t least, std::int64_t most) {
  BUNDLE_TRY(const std::int64_t number, get_int(value, key, kWhere));
  if (number >= least && number <= most) return static_cast<int>(number);
  return bad_input("'" + std::string(key) + "' is out of its range", kWhere);
}

Error differs(std::string what) {
  return Error{ErrorCode::kUsage, std::move(what), "",
               "Start all machines of a group with the same bundle and settings."};
}

const std::string* find_fact(const GroupPlace& place, const std::string& name) {
  const auto at = std::find_if(place.facts.begin(), place.facts.end(),
                               [&](const auto& fact) { return fact.first == name; });
  return at == place.facts.end() ? nullptr : &at->second;
}

}  // namespace

std::string encode(const Introduction& introduction) {
  JsonObject facts;
  for (const auto& [name, value] : introduction.place.facts) facts[name] = value;
  return print_json(JsonObject{{"rank", introduction.place.rank},
                               {"ranks", introduction.place.ranks},
                               {"nodes", introduction.place.nodes},
                               {"port", introduction.port},
                               {"with_leader", introduction.with_leader},
                               {"facts", std::move(facts)}});
}

Result<Introduction> decode_introduction(const std::string& text) {
  BUNDLE_TRY(const Json value, parse_json(text, kWhere));
  Introduction out;
  BUNDLE_TRY(out.place.rank, whole(value, "rank", 0, kMostRanks - 1));
  BUNDLE_TRY(out.place.ranks, whole(value, "ranks", 1, kMostRanks));
  BUNDLE_TRY(out.place.nodes, whole(value, "nodes", 1, kMostNodes));
  BUNDLE_TRY(const int port, whole(value, "port", 0, 65535));
  out.port = static_cast<std::uint16_t>(port);
  BUNDLE_TRY(out.with_leader, get_bool_or(value, "with_leader", false, kWhere));
  const Json* facts = find(value, "facts");
  if (facts == nullptr || !facts->is_object()) return bad_input("'facts' is missing", kWhere);
  for (const auto& [name, fact] : facts->get_object()) {
    if (!fact.is_string()) return bad_input("a fact is no text", kWhere);
    out.place.facts.emplace_back(std::string(name), std::string(fact.get_string()));
  }
  return out;
}

std::string encode(const Table& table) {
  JsonArray peers;
  for (const PeerAddress& peer : table.peers) {
    peers.push_back(JsonObject{{"host", peer.host}, {"port", peer.port}});
  }
  return print_json(JsonObject{{"meeting", table.meeting}, {"peers", std::move(peers)}});
}

Result<Table> decode_table(const std::string& text, int ranks) {
  BUNDLE_TRY(const Json value, parse_json(text, kWhere));
  Table table;
  BUNDLE_TRY(table.meeting, get_string(value, "meeting", kWhere));
  const Json* peers = find(value, "peers");
  if (peers == nullptr || !peers->is_array() ||
      peers->get_array().size() != static_cast<std::size_t>(ranks)) {
    return bad_input("'peers' does not have an address for each rank", kWhere);
  }
  for (const Json& peer : peers->get_array()) {
    BUNDLE_TRY(const int port, whole(peer, "port", 0, 65535));
    BUNDLE_TRY(std::string host, get_string(peer, "host", kWhere));
    table.peers.push_back({std::move(host), static_cast<std::uint16_t>(port)});
  }
  return table;
}

std::string encode(const Call& call) {
  return print_json(JsonObject{{"meeting", call.meeting}, {"rank", call.rank}});
}

Result<Call> decode_call(const std::string& text) {
  BUNDLE_TRY(const Json value, parse_json(text, kWhere));
  Call call;
  BUNDLE_TRY(call.meeting, get_string(value, "meeting", kWhere));
  BUNDLE_TRY(call.rank, whole(value, "rank", 0, kMostRanks - 1));
  return call;
}

std::string machine_of(const GroupPlace& group, int rank) {
  const int each = std::max(1, group.ranks / std::max(1, group.nodes));
  return "machine " + std::to_string(rank / each + 1) + " of " + std::to_string(group.nodes);
}

Status check_introduction(const GroupPlace& group, const Introduction& guest) {
  const GroupPlace& other = guest.place;
  if (other.ranks != group.ranks || other.nodes != group.nodes) {
    return differs("a machine of a group of " + std::to_string(other.nodes) + " machines with " +
                   std::to_string(other.ranks) + " ranks asks to join one of " +
                   std::to_string(group.nodes) + " with " + std::to_string(group.ranks));
  }
  for (const auto& [name, value] : group.facts) {
    const std::string* theirs = find_fact(other, name);
    if (theirs != nullptr && *theirs == value) continue;
    const std::string said = theirs == nullptr ? "none" : show_controls(*theirs).substr(0, 200);
    return differs(machine_of(group, other.rank) + " has another " + name + ": " + said +
                   ", where the first machine has " + value);
  }
  if (other.rank >= 1 && other.rank < group.ranks) return {};
  return differs("there is no rank " + std::to_string(other.rank) + " to be had in a group of " +
                 std::to_string(group.ranks));
}

}  // namespace bundle::comm
