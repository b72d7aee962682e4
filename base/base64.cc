#include "base/base64.h"

#include <openssl/evp.h>
#include <vector>

namespace bundle {

std::string base64_encode(std::string_view bytes) {
  std::vector<unsigned char> out(4 * ((bytes.size() + 2) / 3) + 1);
  const int n = ::EVP_EncodeBlock(out.data(), reinterpret_cast<const unsigned char*>(bytes.data()),
                                  static_cast<int>(bytes.size()));
  return {reinterpret_cast<const char*>(out.data()), static_cast<std::size_t>(n)};
}

Result<std::string> base64_decode(std::string_view text, std::string_view where) {
  std::vector<unsigned char> out(text.size() / 4 * 3 + 1);
  const int n =
      text.size() % 4 != 0
          ? -1
          : ::EVP_DecodeBlock(out.data(), reinterpret_cast<const unsigned char*>(text.data()),
                              static_cast<int>(text.size()));
  if (n < 0) return bad_input("not valid base64", std::string(where));
  std::size_t size = static_cast<std::size_t>(n);
  // OpenSSL counts padding as zero bytes, and passes blanks and stray bits: writing the bytes again
  // must give the same text.
  for (std::size_t i = 0; i < 2 && text.size() > i && text[text.size() - 1 - i] == '='; ++i) --size;
  std::string bytes(reinterpret_cast<const char*>(out.data()), size);
  if (base64_encode(bytes) != text) return bad_input("not valid base64", std::string(where));
  return bytes;
}

}  // namespace bundle
