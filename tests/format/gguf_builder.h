// Builds GGUF files byte by byte, right or wrong: every field can be made to lie.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace bundle::format {

/// The bytes of a little-endian number.
template <typename T>
std::string wire(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

/// Length and letters, as GGUF stores strings.
inline std::string wire_string(std::string_view text) {
  return wire<std::uint64_t>(text.size()) + std::string(text);
}

/// GGUF's number of a metadata type.
template <typename T>
constexpr std::uint32_t type_number() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return 0;
  if constexpr (std::is_same_v<T, std::int8_t>) return 1;
  if constexpr (std::is_same_v<T, std::uint16_t>) return 2;
  if constexpr (std::is_same_v<T, std::int16_t>) return 3;
  if constexpr (std::is_same_v<T, std::uint32_t>) return 4;
  if constexpr (std::is_same_v<T, std::int32_t>) return 5;
  if constexpr (std::is_same_v<T, float>) return 6;
  if constexpr (std::is_same_v<T, std::uint64_t>) return 10;
  if constexpr (std::is_same_v<T, std::int64_t>) return 11;
  if constexpr (std::is_same_v<T, double>) return 12;
}

constexpr std::uint32_t kBoolNumber = 7;
constexpr std::uint32_t kStringNumber = 8;
constexpr std::uint32_t kArrayNumber = 9;

class GgufBuilder {
 public:
  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;  // of the data section; say it by number("general.alignment") too
  std::optional<std::uint64_t> told_tensors;  // in place of the true counts
  std::optional<std::uint64_t> told_keys;

  /// Any value: its type number and its bytes.
  GgufBuilder& raw(std::string_view key, std::uint32_t type, std::string_view bytes) {
    keys_ += wire_string(key) + wire(type) + std::string(bytes);
    ++key_count_;
    return *this;
  }
  template <typename T>
  GgufBuilder& number(std::string_view key, T value) {
    return raw(key, type_number<T>(), wire(value));
  }
  GgufBuilder& u32(std::string_view key, std::uint32_t value) { return number(key, value); }
  GgufBuilder& f32(std::string_view key, float value) { return number(key, value); }
  GgufBuilder& flag(std::string_view key, bool value) {
    return raw(key, kBoolNumber, std::string(1, value ? '\1' : '\0'));
  }
  GgufBuilder& text(std::string_view key, std::string_view value) {
    return raw(key, kStringNumber, wire_string(value));
  }
  /// An array of any type and any told length.
  GgufBuilder& raw_array(std::string_view key, std::uint32_t type, std::uint64_t count,
                         std::string_view bytes) {
    return raw(key, kArrayNumber, wire(type) + wire(count) + std::string(bytes));
  }
  template <typename T>
  GgufBuilder& numbers(std::string_view key, const std::vector<T>& values) {
    std::string bytes;
    for (const T value : values) bytes += wire(value);
    return raw_array(key, type_number<T>(), values.size(), bytes);
  }
  GgufBuilder& texts(std::string_view key, const std::vector<std::string>& values) {
    std::string bytes;
    for (const std::string& value : values) bytes += wire_string(value);
    return raw_array(key, kStringNumber, values.size(), bytes);
  }

  /// A tensor behind those before it. `dims` innermost first, as the file has them.
  GgufBuilder& tensor(std::string_view name, std::uint32_t type,
                      const std::vector<std::uint64_t>& dims, std::string_view bytes) {
    pad(data_);
    table_entry(name, type, dims, data_.size());
    data_ += bytes;
    return *this;
  }
  /// A line of the table without any data.
  GgufBuilder& table_entry(std::string_view name, std::uint32_t type,
                           const std::vector<std::uint64_t>& dims, std::uint64_t offset) {
    table_ += wire_string(name) + wire(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t n : dims) table_ += wire(n);
    table_ += wire(type) + wire(offset);
    ++tensor_count_;
    return *this;
  }
  GgufBuilder& data(std::string_view bytes) {
    data_ += bytes;
    return *this;
  }

  std::string build() const {
    std::string file = magic + wire(version) + wire(told_tensors.value_or(tensor_count_)) +
                       wire(told_keys.value_or(key_count_)) + keys_ + table_;
    if (tensor_count_ > 0) pad(file);
    return file + data_;
  }

 private:
  void pad(std::string& bytes) const {
    while (bytes.size() % alignment != 0) bytes += '\0';
  }

  std::string keys_;
  std::string table_;
  std::string data_;
  std::uint64_t key_count_ = 0;
  std::uint64_t tensor_count_ = 0;
};

/// The metadata that a small model of llama.cpp's `arch` needs: 2 layers, 4 heads of 32, 2 of
/// keys and values.
inline GgufBuilder& small_model(GgufBuilder& builder, const std::string& arch) {
  return builder.text("general.architecture", arch)
      .u32(arch + ".block_count", 2)
      .u32(arch + ".context_length", 2048)
      .u32(arch + ".embedding_length", 128)
      .u32(arch + ".feed_forward_length", 352)
      .u32(arch + ".attention.head_count", 4)
      .u32(arch + ".attention.head_count_kv", 2)
      .f32(arch + ".attention.layer_norm_rms_epsilon", 1e-5f)
      .u32(arch + ".vocab_size", 512);
}

}  // namespace bundle::format
