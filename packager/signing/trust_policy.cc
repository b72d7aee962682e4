#include "packager/signing/trust_policy.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "packager/glob.h"
#include "packager/yaml.h"

namespace bundle::packager::signing {
namespace {

constexpr std::uint64_t kMostPolicyBytes = 1u << 20;
constexpr std::size_t kMostRules = 1000;
constexpr std::size_t kMostKeys = 64;

class PolicyReader {
 public:
  explicit PolicyReader(const Path& file) : file_(file), where_(file.string()) {}

  Error refuse(const YamlNode& node, const std::string& what) const {
    return bad_input(what, yaml_position(where_, node));
  }

  /// Calls `take(key, value)` for each member of a map whose keys are all known.
  template <typename Take>
  Status each(const YamlNode& map, const std::vector<std::string>& known, const Take& take) const {
    if (map.kind != YamlNode::Kind::kMap) return refuse(map, "not a map");
    for (const auto& [key, value] : map.members) {
      if (std::ranges::find(known, key.text) == known.end()) {
        Error error = refuse(key, "unknown key '" + key.text + "'");
        const std::string near = nearest(key.text, known);
        if (!near.empty()) error.remedy = "Did you mean '" + near + "'?";
        return error;
      }
      BUNDLE_CHECK(take(key.text, value));
    }
    return {};
  }

  Result<std::string> text(const YamlNode& node) const {
    if (node.kind != YamlNode::Kind::kScalar) return refuse(node, "not a text");
    return node.text;
  }

  Result<int> number(const YamlNode& node, int least, int most) const {
    BUNDLE_TRY(const std::string digits, text(node));
    int value = 0;
    const char* end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, value);
    if (parsed.ec != std::errc() || parsed.ptr != end || value < least || value > most) {
      return refuse(
          node, "not a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return value;
  }

  Result<TrustAction> action(const YamlNode& node) const {
    BUNDLE_TRY(const std::string word, text(node));
    if (word == "accept") return TrustAction::kAccept;
    if (word == "reject") return TrustAction::kReject;
    if (word == "signature") return TrustAction::kRequireSignature;
    return refuse(node, "'" + word + "' is none of accept, reject, signature");
  }

  Result<std::vector<TrustedKey>> keys(const YamlNode& node) const {
    if (node.kind != YamlNode::Kind::kSequence || node.items.size() > kMostKeys) {
      return refuse(node, "not a list of at most 64 key files");
    }
    std::vector<TrustedKey> keys;
    for (const YamlNode& item : node.items) {
      BUNDLE_TRY(const std::string name, text(item));
      auto key = PublicKey::load(file_.parent_path() / name);
      if (!key) return refuse(item, key.error().message());
      keys.push_back({name, *std::move(key)});
    }
    return keys;
  }

  Result<TrustRule> rule(const YamlNode& node) const {
    TrustRule rule;
    bool says_what = false;
    BUNDLE_CHECK(each(node, {"match", "require", "keys", "threshold", "minimum_version"},
                      [&](const std::string& key, const YamlNode& value) -> Status {
                        says_what = says_what || key == "require";
                        return take_member(key, value, rule);
                      }));
    if (rule.match.empty()) return refuse(node, "a rule without 'match'");
    if (!says_what) {
      return refuse(node, "a rule without 'require': accept, reject or signature");
    }
    return checked(node, std::move(rule));
  }

  /// A rule that no signature could meet is a mistake, and so is one that names keys and asks for
  /// none.
  Result<TrustRule> checked(const YamlNode& node, TrustRule rule) const {
    if (rule.action != TrustAction::kRequireSignature) {
      const bool idle = !rule.keys.empty() || rule.threshold != 1 || !rule.minimum_version.empty();
      if (!idle) return rule;
      return refuse(node,
                    "keys, threshold and minimum_version hold with 'require: signature' alone");
    }
    if (rule.keys.empty()) return refuse(node, "'require: signature' without 'keys'");
    if (static_cast<std::size_t>(rule.threshold) > rule.keys.size()) {
      return refuse(node, "'threshold' is larger than the number of keys");
    }
    return rule;
  }

 private:
  Status take_member(const std::string& key, const YamlNode& value, TrustRule& rule) const {
    if (key == "match") {
      BUNDLE_TRY(rule.match, text(value));
    } else if (key == "require") {
      BUNDLE_TRY(rule.action, action(value));
    } else if (key == "keys") {
      BUNDLE_TRY(rule.keys, keys(value));
    } else if (key == "threshold") {
      BUNDLE_TRY(rule.threshold, number(value, 1, static_cast<int>(kMostKeys)));
    } else {
      BUNDLE_TRY(rule.minimum_version, text(value));
      if (!is_version(rule.minimum_version)) {
        return refuse(value, "'" + rule.minimum_version + "' is no version such as 1.2.0");
      }
    }
    return {};
  }

  const Path& file_;
  std::string where_;
};

std::string_view next_part(std::string_view& version) {
  const std::size_t end = std::min(version.find('.'), version.size());
  const std::string_view part = version.substr(0, end);
  version.remove_prefix(std::min(end + 1, version.size()));
  return part;
}

int compare_parts(std::string_view left, std::string_view right) {
  unsigned long x = 0;
  unsigned long y = 0;
  const auto l = std::from_chars(left.data(), left.data() + left.size(), x);
  const auto r = std::from_chars(right.data(), right.data() + right.size(), y);
  const bool numbers = l.ptr == left.data() + left.size() && r.ptr == right.data() + right.size();
  if (numbers) return x == y ? 0 : x < y ? -1 : 1;
  return left == right ? 0 : left < right ? -1 : 1;
}

int compare_dotted(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const std::string_view left = next_part(a);
    if (const int order = compare_parts(left, next_part(b)); order != 0) return order;
  }
  return 0;
}

}  // namespace

Result<TrustPolicy> TrustPolicy::parse(std::string_view text, const Path& file) {
  BUNDLE_TRY(const YamlNode root, parse_yaml(text, file.string()));
  const PolicyReader reader(file);
  TrustPolicy policy;
  const YamlNode* rules = nullptr;
  const YamlNode* keys = nullptr;
  const auto take = [&](const std::string& key, const YamlNode& value) -> Status {
    if (key == "version") BUNDLE_CHECK(reader.number(value, 1, 1));
    if (key == "keys") keys = &value;
    if (key == "rules") rules = &value;
    if (key != "default") return {};
    BUNDLE_TRY(policy.default_.action, reader.action(value));
    return {};
  };
  const Status read = reader.each(root, {"version", "default", "keys", "rules"}, take);
  BUNDLE_CHECK(read);
  if (keys != nullptr) {
    BUNDLE_TRY(policy.default_.keys, reader.keys(*keys));
  }
  BUNDLE_TRY(policy.default_, reader.checked(root, std::move(policy.default_)));
  if (rules == nullptr) return policy;
  if (rules->kind != YamlNode::Kind::kSequence || rules->items.size() > kMostRules) {
    return reader.refuse(*rules, "not a list of at most 1000 rules");
  }
  for (const YamlNode& item : rules->items) {
    BUNDLE_TRY(TrustRule rule, reader.rule(item));
    policy.rules_.push_back(std::move(rule));
  }
  return policy;
}

Result<TrustPolicy> TrustPolicy::load(const Path& file) {
  BUNDLE_TRY(const std::string text, read_file(file, kMostPolicyBytes));
  return parse(text, file);
}

Result<TrustPolicy> TrustPolicy::load_default() {
  const Path file = bundle_home() / "trust.yaml";
  std::error_code error;
  // A link that leads nowhere is a policy that is lost, not one that nobody wrote.
  if (std::filesystem::symlink_status(file, error).type() ==
      std::filesystem::file_type::not_found) {
    return TrustPolicy();
  }
  return load(file);
}

const TrustRule& TrustPolicy::rule_for(std::string_view name) const {
  for (const TrustRule& rule : rules_) {
    if (matches_glob(rule.match, name)) return rule;
  }
  return default_;
}

bool is_version(std::string_view version) {
  if (version.starts_with('v')) version.remove_prefix(1);
  version = version.substr(0, version.find_first_of("-+"));
  if (version.empty() || version.ends_with('.')) return false;
  while (!version.empty()) {
    const std::string_view part = next_part(version);
    const bool digits = !part.empty() && part.size() <= 18 &&
                        std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) return false;
  }
  return true;
}

int compare_versions(std::string_view a, std::string_view b) {
  const auto split = [](std::string_view version) {
    if (version.starts_with('v')) version.remove_prefix(1);
    version = version.substr(0, version.find('+'));  // build metadata says nothing of the order
    const std::size_t dash = std::min(version.find('-'), version.size());
    return std::pair(version.substr(0, dash), version.substr(std::min(dash + 1, version.size())));
  };
  const auto [left, left_pre] = split(a);
  const auto [right, right_pre] = split(b);
  if (const int order = compare_dotted(left, right); order != 0) return order;
  // A release comes after its candidates.
  if (left_pre.empty() != right_pre.empty()) return left_pre.empty() ? 1 : -1;
  return compare_dotted(left_pre, right_pre);
}

}  // namespace bundle::packager::signing
