#include "base/xml.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include "base/text.h"

namespace bundle {
namespace {

constexpr std::size_t kMostDepth = 64;
constexpr std::size_t kMostElements = 200'000;
constexpr std::size_t kMostEntityBytes = 12;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

void append_character(std::uint32_t code, std::string& out) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

/// The character of "#38" or "#x26".
std::optional<std::uint32_t> numbered_character(std::string_view name) {
  name.remove_prefix(1);
  const bool hex = name.starts_with('x');
  if (hex) name.remove_prefix(1);
  std::uint32_t code = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, code, hex ? 16 : 10);
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (error != std::errc() || stop != end || code == 0 || code > 0x10FFFF || is_surrogate) {
    return std::nullopt;
  }
  return code;
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  Result<XmlNode> document() {
    BUNDLE_CHECK(skip_outside());
    BUNDLE_TRY(XmlNode root, element(1));
    BUNDLE_CHECK(skip_outside());
    if (at_ != text_.size()) return wrong("text after the document");
    return root;
  }

 private:
  bool sees(std::string_view word) const { return text_.substr(at_).starts_with(word); }

  Error wrong(const std::string& what) const {
    return bad_input("no usable XML: " + what + " at byte " + std::to_string(at_),
                     std::string(where_));
  }

  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }

  /// Moves behind the next `end`.
  Status skip_past(std::string_view end) {
    const std::size_t found = text_.find(end, at_);
    if (found == std::string_view::npos) return wrong("no '" + std::string(end) + "'");
    at_ = found + end.size();
    return {};
  }

  /// Blanks, declarations and comments around the root.
  Status skip_outside() {
    for (skip_blanks(); at_ < text_.size(); skip_blanks()) {
      if (sees("<?")) {
        BUNDLE_CHECK(skip_past("?>"));
      } else if (sees("<!--")) {
        BUNDLE_CHECK(skip_past("-->"));
      } else if (sees("<!")) {
        return wrong("a document type");
      } else {
        break;
      }
    }
    return {};
  }

  Result<std::string> name() {
    const std::size_t start = at_;
    while (at_ < text_.size() && !is_blank(text_[at_]) &&
           std::string_view("/>=<&\"'").find(text_[at_]) == std::string_view::npos) {
      ++at_;
    }
    if (at_ == start) return wrong("no name");
    return std::string(text_.substr(start, at_ - start));
  }

  Status skip_attribute() {
    BUNDLE_CHECK(name());
    skip_blanks();
    if (!sees("=")) return wrong("an attribute without a value");
    ++at_;
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '"' && quote != '\'') return wrong("a value without quotes");
    ++at_;
    return skip_past(std::string_view(&quote, 1));
  }

  Result<XmlNode> element(std::size_t depth) {
    if (depth > kMostDepth) return wrong("elements nested too deep");
    if (++elements_ > kMostElements) return wrong("too many elements");
    if (!sees("<")) return wrong("no element");
    ++at_;
    XmlNode node;
    BUNDLE_TRY(node.name, name());
    for (skip_blanks(); !sees(">") && !sees("/>"); skip_blanks()) BUNDLE_CHECK(skip_attribute());
    if (sees("/>")) {
      at_ += 2;
      return node;
    }
    ++at_;
    BUNDLE_CHECK(content(depth, node));
    return node;
  }

  /// Everything up to the end tag, and that.
  Status content(std::size_t depth, XmlNode& node) {
    for (;;) {
      if (at_ >= text_.size()) return wrong("'" + node.name + "' does not end");
      if (sees("</")) break;
      if (sees("<!--")) {
        BUNDLE_CHECK(skip_past("-->"));
      } else if (sees("<![CDATA[")) {
        BUNDLE_CHECK(character_data(node));
      } else if (sees("<?")) {
        BUNDLE_CHECK(skip_past("?>"));
      } else if (sees("<!")) {
        return wrong("a declaration within the document");
      } else if (sees("<")) {
        BUNDLE_TRY(XmlNode child, element(depth + 1));
        node.children.push_back(std::move(child));
      } else {
        BUNDLE_CHECK(text_piece(node));
      }
    }
    if (!node.children.empty()) node.text.clear();
    at_ += 2;
    BUNDLE_TRY(const std::string closed, name());
    skip_blanks();
    if (closed != node.name || !sees(">")) return wrong("'" + node.name + "' does not end");
    ++at_;
    return {};
  }

  Status character_data(XmlNode& node) {
    constexpr std::string_view kOpen = "<![CDATA[";
    constexpr std::string_view kClose = "]]>";
    at_ += kOpen.size();
    const std::size_t start = at_;
    BUNDLE_CHECK(skip_past(kClose));
    node.text += text_.substr(start, at_ - kClose.size() - start);
    return {};
  }

  Status text_piece(XmlNode& node) {
    if (sees("&")) return entity(node.text);
    const std::size_t end = std::min(text_.find_first_of("<&", at_), text_.size());
    node.text += text_.substr(at_, end - at_);
    at_ = end;
    return {};
  }

  Status entity(std::string& out) {
    static constexpr std::array<std::pair<std::string_view, char>, 5> kKnown{
        {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}}};
    const std::size_t end = text_.substr(at_, kMostEntityBytes).find(';');
    if (end == std::string_view::npos) return wrong("an entity that does not end");
    const std::string_view name = text_.substr(at_ + 1, end - 1);
    const auto known = std::ranges::find(kKnown, name, [](const auto& one) { return one.first; });
    if (known != kKnown.end()) {
      out += known->second;
    } else if (const auto code = name.starts_with('#') ? numbered_character(name) : std::nullopt) {
      append_character(*code, out);
    } else {
      return wrong("an unknown entity");
    }
    at_ += end + 1;
    return {};
  }

  std::string_view text_;
  std::string_view where_;
  std::size_t at_ = 0;
  std::size_t elements_ = 0;
};

}  // namespace

const XmlNode* XmlNode::child(std::string_view wanted) const {
  const auto found = std::ranges::find(children, wanted, &XmlNode::name);
  return found == children.end() ? nullptr : &*found;
}

std::string XmlNode::child_text(std::string_view wanted) const {
  const XmlNode* found = child(wanted);
  return found == nullptr ? "" : found->text;
}

const std::vector<XmlNode>& XmlNode::items(std::string_view list) const {
  static const std::vector<XmlNode> kNone;
  const XmlNode* found = child(list);
  return found == nullptr ? kNone : found->children;
}

Result<XmlNode> parse_xml(std::string_view text, std::string_view where) {
  if (!is_valid_utf8(text)) return bad_input("no usable XML: invalid UTF-8", std::string(where));
  return Reader(text, where).document();
}

}  // namespace bundle
