// The files of the page at "/", as they are in runtime/server/page, inside the program: it works
// offline and needs no file beside it.
#pragma once

#include <span>
#include <string_view>

namespace bundle::server {

struct PageFile {
  std::string_view name;  // "app.js"
  std::string_view bytes;
};

std::span<const PageFile> page_files();

}  // namespace bundle::server
