#include "packager/quantize/gguf_bytes.h"

#include <algorithm>
#include <cstring>

namespace bundle::packager::quantize {
namespace {

constexpr std::uint64_t kAlignment = 32;
constexpr std::uint32_t kVersion = 3;

// The numbers of the format (ggml's gguf.h).
enum : std::uint32_t { kU32 = 4, kF32 = 6, kBool = 7, kString = 8, kArray = 9, kTypes = 13 };
constexpr std::uint8_t kTypeBytes[kTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

std::uint32_t type_number(DType type) {
  switch (type) {
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ5_0:
      return 6;
    case DType::kQ8_0:
      return 8;
    case DType::kQ4K:
      return 12;
    case DType::kBF16:
      return 30;
    default:
      return 0;  // F32
  }
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

std::uint64_t aligned(std::uint64_t at) { return (at + kAlignment - 1) / kAlignment * kAlignment; }

Status skip_text(ByteReader& in) {
  BUNDLE_TRY(const auto size, in.read<std::uint64_t>("a text's length"));
  BUNDLE_TRY([[maybe_unused]] const Bytes text, in.take(size, "a text"));
  return {};
}

Status skip_values(ByteReader& in, std::uint32_t type, std::uint64_t count) {
  if (type >= kTypes || type == kArray) return bad_input("an entry has an unknown type");
  if (type != kString) {
    if (count > in.left()) return bad_input("an array runs past the end");
    BUNDLE_TRY([[maybe_unused]] const Bytes data, in.take(count * kTypeBytes[type], "an array"));
    return {};
  }
  for (std::uint64_t i = 0; i < count; ++i) BUNDLE_CHECK(skip_text(in));
  return {};
}

Status skip_value(ByteReader& in) {
  BUNDLE_TRY(const auto type, in.read<std::uint32_t>("a type"));
  if (type != kArray) return skip_values(in, type, 1);
  BUNDLE_TRY(const auto inner, in.read<std::uint32_t>("a type"));
  BUNDLE_TRY(const auto count, in.read<std::uint64_t>("a count"));
  return skip_values(in, inner, count);
}

void put_tensor(std::string& out, const PlannedTensor& tensor, std::uint64_t offset) {
  put_text(out, tensor.name);
  put(out, static_cast<std::uint32_t>(tensor.shape.size()));
  for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
    put(out, static_cast<std::uint64_t>(*size));
  }
  put(out, type_number(tensor.type));
  put(out, offset);
}

}  // namespace

void GgufEntries::begin(std::string_view key, std::uint32_t type) {
  put_text(bytes_, key);
  put(bytes_, type);
  ++count_;
}

void GgufEntries::add_u32(std::string_view key, std::int64_t value) {
  begin(key, kU32);
  put(bytes_, static_cast<std::uint32_t>(value));
}

void GgufEntries::add_f32(std::string_view key, double value) {
  begin(key, kF32);
  put(bytes_, static_cast<float>(value));
}

void GgufEntries::add_bool(std::string_view key, bool value) {
  begin(key, kBool);
  put(bytes_, static_cast<std::uint8_t>(value));
}

void GgufEntries::add_text(std::string_view key, std::string_view text) {
  begin(key, kString);
  put_text(bytes_, text);
}

Status GgufEntries::copy(Bytes file, const std::vector<std::string_view>& dropped) {
  ByteReader in(file, "GGUF metadata");
  BUNDLE_TRY([[maybe_unused]] const Bytes magic, in.take(8, "the head"));
  BUNDLE_TRY([[maybe_unused]] const auto tensors, in.read<std::uint64_t>("a count"));
  BUNDLE_TRY(const auto count, in.read<std::uint64_t>("a count"));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::size_t start = in.offset();
    BUNDLE_TRY(const auto size, in.read<std::uint64_t>("a key's length"));
    BUNDLE_TRY(const Bytes key, in.take(size, "a key"));
    BUNDLE_CHECK(skip_value(in));
    if (std::ranges::find(dropped, as_text(key)) != dropped.end()) continue;
    bytes_ += as_text(file.subspan(start, in.offset() - start));
    ++count_;
  }
  return {};
}

PlannedFile lay_out_gguf(std::string name, const GgufEntries& entries,
                         std::vector<PlannedTensor> tensors) {
  PlannedFile file{std::move(name), "GGUF", std::move(tensors), 0};
  put(file.head, kVersion);
  put(file.head, static_cast<std::uint64_t>(file.tensors.size()));
  put(file.head, entries.count());
  file.head += entries.bytes();
  std::uint64_t at = 0;
  for (PlannedTensor& tensor : file.tensors) {
    put_tensor(file.head, tensor, at);
    tensor.offset = at;
    at = aligned(at + tensor.bytes());
  }
  file.head.resize(aligned(file.head.size()), '\0');
  for (PlannedTensor& tensor : file.tensors) tensor.offset += file.head.size();
  file.size = file.head.size() + at;  // the last tensor is filled up too, as ggml writes it
  return file;
}

}  // namespace bundle::packager::quantize
