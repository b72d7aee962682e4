// GET / and /page/…: a chat, a dashboard and a model card. Its files need no key; its calls do.
#include <algorithm>
#include <map>

#include "base/sha256.h"
#include "runtime/server/endpoints.h"
#include "runtime/server/page_files.h"

namespace bundle::server {
namespace {

constexpr std::string_view kFolder = "/page/";

/// Nothing from elsewhere, no inline script, in no frame.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string_view type_of(std::string_view name) {
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "text/html; charset=utf-8";
}

const std::string& tag_of(const PageFile& file) {
  static const auto tags = [] {
    std::map<std::string_view, std::string> all;
    for (const PageFile& each : page_files()) {
      all[each.name] = '"' + sha256_hex(each.bytes).substr(0, 16) + '"';
    }
    return all;
  }();
  return tags.at(file.name);
}

}  // namespace

ReplyResult get_page(Service& service, const HttpRequest& request) {
  const std::string_view name =
      request.path == "/" ? "index.html" : std::string_view(request.path).substr(kFolder.size());
  const auto files = page_files();
  const auto file = std::ranges::find(files, name, &PageFile::name);
  if (file == files.end() || !service.options().page) {
    return not_found_error("unknown_url", "There is no GET " + request.path + " here.");
  }
  HttpResponse response{.content_type = std::string(type_of(name)),
                        .fields = {{"ETag", tag_of(*file)},
                                   {"Cache-Control", "no-cache"},
                                   {"Content-Security-Policy", kPolicy},
                                   {"X-Content-Type-Options", "nosniff"},
                                   {"Referrer-Policy", "no-referrer"}}};
  if (request.field("if-none-match") == tag_of(*file)) {
    response.status = 304;
    response.content_type.clear();
  } else {
    response.body = file->bytes;
  }
  return Reply{std::move(response)};
}

}  // namespace bundle::server
