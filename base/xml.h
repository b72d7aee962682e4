// XML as services answer with it: a strict reader for untrusted text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bundle {

/// One element. Attributes are not kept. A value.
struct XmlNode {
  std::string name;  // with its prefix, as written
  std::string text;  // of an element without children; entities are resolved
  std::vector<XmlNode> children;

  /// The first child of that name, or null.
  const XmlNode* child(std::string_view wanted) const;
  /// The text of the first child of that name, or "".
  std::string child_text(std::string_view wanted) const;
  /// The children of child `list`, or none: <list><member>…</member></list>.
  const std::vector<XmlNode>& items(std::string_view list) const;
};

/// Parses one document. kBadInput, with the byte in the message: what does not nest, text after the
/// document, a document type (and with it every entity but the five and characters by number),
/// nesting over 64, more than 200,000 elements, and invalid UTF-8.
Result<XmlNode> parse_xml(std::string_view text, std::string_view where);

}  // namespace bundle
