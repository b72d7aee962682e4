// Reading untrusted bytes: every read draws on what is left, so no length can reach past the end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace bundle {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

static_assert(std::endian::native == std::endian::little, "the formats here are little-endian");

/// A cursor over bytes that it does not own. Little-endian. Not thread-safe.
class ByteReader {
 public:
  /// `where` names the file in errors.
  ByteReader(Bytes bytes, std::string where) : all_(bytes), where_(std::move(where)) {}

  std::size_t left() const { return all_.size() - at_; }
  std::size_t offset() const { return at_; }

  /// An error when fewer than sizeof(T) bytes are left. `what` names the field.
  template <typename T>
  requires std::is_trivially_copyable_v<T> Result<T> read(const char* what) {
    BUNDLE_TRY(Bytes raw, take(sizeof(T), what));
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }

  /// The next n bytes, in place. An error when fewer are left.
  Result<Bytes> take(std::uint64_t n, const char* what) {
    if (n > left()) return past_end(n, what);
    Bytes part = all_.subspan(at_, static_cast<std::size_t>(n));
    at_ += static_cast<std::size_t>(n);
    return part;
  }

 private:
  Error past_end(std::uint64_t n, const char* what) const;

  Bytes all_;
  std::size_t at_ = 0;
  std::string where_;
};

}  // namespace bundle
