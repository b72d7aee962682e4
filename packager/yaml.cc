// yaml-cpp gives events; the tree is built here, because its own accepts alias cycles, duplicate
// keys, unknown tags and unclosed quotes without a word.
#include "packager/yaml.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "base/text.h"

namespace bundle::packager {
namespace {

constexpr std::size_t kMaxDepth = 64;

/// Leaves the parser through its own stack; caught in parse_yaml, never seen outside.
struct Refusal {
  Error error;
};

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) refuse(mark, "a second document", "Keep one document in the file.");
  }
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "an alias (*name)", "Write the value out where it is used.");
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(start(YamlNode::Kind::kNull, mark, "?", anchor));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node = start(YamlNode::Kind::kScalar, mark, tag, anchor);
    node.quoted = tag == "!";
    if (node.quoted) check_closed(mark);
    if (value.find('\0') != std::string::npos) refuse(mark, "a NUL character", "Remove it.");
    node.text = value;
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(start(YamlNode::Kind::kSequence, mark, tag, anchor), mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(start(YamlNode::Kind::kMap, mark, tag, anchor), mark);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    YamlNode node;
    bool has_key = false;
    YamlNode key;
    std::map<std::string, int> lines;  // of the keys so far
  };

  [[noreturn]] void refuse(const YAML::Mark& mark, const std::string& what,
                           const std::string& remedy) const {
    throw Refusal{bad_input(what + " is not allowed here",
                            yaml_position(where_, mark.line + 1, mark.column + 1), remedy)};
  }

  YamlNode start(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
                 YAML::anchor_t anchor) const {
    if (anchor != 0) refuse(mark, "an anchor (&name)", "Write the value out where it is used.");
    if (!tag.empty() && tag != "?" && tag != "!")
      refuse(mark, "the tag '" + tag + "'", "Remove it.");
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }

  /// yaml-cpp ends a quoted scalar at the end of the text as if the quote were there.
  void check_closed(const YAML::Mark& mark) const {
    auto at = static_cast<std::size_t>(std::max(mark.pos, 0));
    if (at >= text_.size() || (text_[at] != '\'' && text_[at] != '"')) return;  // a block scalar
    const char quote = text_[at];
    for (++at; at < text_.size(); ++at) {
      const bool doubled = quote == '\'' && text_.substr(at, 2) == "''";
      if (doubled || (quote == '"' && text_[at] == '\\')) {
        ++at;
      } else if (text_[at] == quote) {
        return;
      }
    }
    refuse(mark, "a quote that never closes", "Close it.");
  }

  void open(YamlNode node, const YAML::Mark& mark) {
    if (stack_.size() >= kMaxDepth) refuse(mark, "nesting over 64", "");
    stack_.push_back({std::move(node), false, {}, {}});
  }

  void close() {
    YamlNode node = std::move(stack_.back().node);
    stack_.pop_back();
    add(std::move(node));
  }

  void add(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.kind == YamlNode::Kind::kSequence) {
      frame.node.items.push_back(std::move(node));
    } else if (frame.has_key) {
      frame.node.members.push_back({std::move(frame.key), std::move(node)});
      frame.has_key = false;
    } else {
      check_key(frame, node);
      frame.key = std::move(node);
      frame.has_key = true;
    }
  }

  void check_key(Frame& frame, const YamlNode& key) const {
    if (key.kind != YamlNode::Kind::kScalar) {
      throw Refusal{bad_input("a key is not a plain word", yaml_position(where_, key))};
    }
    const auto [known, is_new] = frame.lines.emplace(key.text, key.line);
    if (is_new) return;
    throw Refusal{bad_input(
        "the key '" + key.text + "' comes twice", yaml_position(where_, key),
        "It is set on line " + std::to_string(known->second) + " already; keep one of them.")};
  }

  std::string_view text_;
  std::string_view where_;
  int documents_ = 0;
  YamlNode root_;
  std::vector<Frame> stack_;
};

/// What yaml-cpp would take for text: bytes that are no UTF-8, and control characters.
Status check_characters(std::string_view text, std::string_view where) {
  if (!is_valid_utf8(text)) {
    return bad_input("not valid UTF-8", std::string(where), "Save the file as UTF-8.");
  }
  int line = 1;
  int column = 1;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f) {
      return bad_input("a control character is not allowed here",
                       yaml_position(where, line, column), "Remove it.");
    }
    column = c == '\n' ? 1 : column + 1;
    line += c == '\n';
  }
  return {};
}

Result<YamlNode> build_tree(std::string_view text, std::string_view where) {
  std::istringstream stream{std::string(text)};
  TreeBuilder builder(text, where);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refusal& refusal) {
    return refusal.error;
  } catch (const YAML::Exception& error) {
    return bad_input("not valid YAML: " + error.msg,
                     yaml_position(where, error.mark.line + 1, error.mark.column + 1));
  }
  return builder.take();
}

}  // namespace

std::string yaml_position(std::string_view where, int line, int column) {
  return std::string(where) + ":" + std::to_string(line) + ":" + std::to_string(column);
}

Result<YamlNode> parse_yaml(std::string_view text, std::string_view where) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  BUNDLE_CHECK(check_characters(text, where));
  return build_tree(text, where);
}

}  // namespace bundle::packager
