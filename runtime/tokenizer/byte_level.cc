#include "runtime/tokenizer/byte_level.h"

#include <array>

#include "runtime/tokenizer/unicode.h"

namespace bundle::tokenizer {
namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

struct Alphabet {
  std::array<char16_t, 256> of_byte{};
  std::array<std::int16_t, 0x144> of_char{};  // -1: no stand-in

  constexpr Alphabet() {
    of_char.fill(-1);
    char16_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      of_byte[byte] = stands_for_itself(byte) ? static_cast<char16_t>(byte) : next++;
      of_char[of_byte[byte]] = static_cast<std::int16_t>(byte);
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

std::string bytes_to_byte_level(std::string_view bytes) {
  std::string spelling;
  spelling.reserve(bytes.size());
  for (const char byte : bytes) {
    append_utf8(spelling, kAlphabet.of_byte[static_cast<unsigned char>(byte)]);
  }
  return spelling;
}

std::optional<std::string> byte_level_to_bytes(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (std::size_t at = 0; at < spelling.size();) {
    const Decoded next = decode_utf8(spelling.data() + at);
    if (next.c >= kAlphabet.of_char.size() || kAlphabet.of_char[next.c] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.of_char[next.c]));
    at += next.length;
  }
  return bytes;
}

}  // namespace bundle::tokenizer
