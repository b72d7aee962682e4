// YAML as configuration needs it: a tree in which every value knows its line. What makes YAML
// dangerous or ambiguous (aliases, tags, keys that come twice, a second document) is refused.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle::packager {

struct YamlMember;

/// One value. A scalar's `text` is as written, without its quotes; its type is the reader's matter.
struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap } kind = Kind::kNull;
  std::string text;
  bool quoted = false;  // 'x', "x", or a block scalar: never a number, boolean or null
  int line = 1;         // both from 1
  int column = 1;
  std::vector<YamlNode> items;      // of a sequence
  std::vector<YamlMember> members;  // of a map; keys are scalars, each once
};

struct YamlMember {
  YamlNode key;
  YamlNode value;
};

/// Parses one document. kBadInput with "where:line:column" for text that is not YAML, and for
/// anchors, aliases, tags, keys that are no scalars or come twice, a second document, nesting over
/// 64, control characters, quotes that never close and invalid UTF-8. An empty text is a null.
Result<YamlNode> parse_yaml(std::string_view text, std::string_view where);

/// "where:line:column".
std::string yaml_position(std::string_view where, int line, int column);
inline std::string yaml_position(std::string_view where, const YamlNode& node) {
  return yaml_position(where, node.line, node.column);
}

}  // namespace bundle::packager
