// The few HTML things that Jinja's filters do.
#pragma once

#include <string>
#include <string_view>

namespace bundle::chat {

/// markupsafe.escape: & < > ' " become entities.
std::string escape_html(std::string_view text);

/// html.unescape, with numeric references and the named ones of HTML 4.
std::string unescape_html(std::string_view text);

/// Markup.striptags: tags and comments out, white space collapsed, entities resolved.
std::string strip_tags(std::string_view text);

/// urllib.parse.quote over UTF-8; for a query, "/" is quoted too and a space becomes "+".
std::string url_quote(std::string_view text, bool for_query);

}  // namespace bundle::chat
