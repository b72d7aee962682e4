#include "runtime/format/safetensors.h"

#include <algorithm>

#include "base/json.h"

namespace bundle::format {
namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr std::size_t kMaxDims = 16;

struct Entry {
  TensorView tensor;  // without data
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

std::optional<DType> dtype_of(std::string_view name) {
  for (const DType type :
       {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3, DType::kF8E5M2,
        DType::kI64, DType::kI32, DType::kI16, DType::kI8, DType::kU8, DType::kBool}) {
    if (dtype_info(type).name == name) return type;
  }
  return std::nullopt;
}

/// One tensor's entry of the header, with what all its messages begin with.
class EntryParser {
 public:
  EntryParser(std::string_view name, const Json& value, std::string_view where)
      : name_(name), value_(value), where_(where) {}

  Result<Entry> parse() const {
    BUNDLE_CHECK(check_name(name_, "tensor", where_));
    BUNDLE_CHECK(check_keys());
    Entry entry;
    entry.tensor.name = name_;
    BUNDLE_TRY(entry.tensor.type, type());
    BUNDLE_TRY(entry.tensor.shape, numbers("shape"));
    BUNDLE_TRY(const std::vector<std::int64_t> offsets, numbers("data_offsets"));
    if (offsets.size() != 2 || offsets[0] > offsets[1]) {
      return refuse("its data_offsets are not a begin and an end");
    }
    entry.begin = static_cast<std::uint64_t>(offsets[0]);
    entry.end = static_cast<std::uint64_t>(offsets[1]);
    BUNDLE_CHECK(check_size(entry));
    return entry;
  }

 private:
  Error refuse(const std::string& what) const {
    return bad_input("the tensor '" + name_ + "': " + what, where_);
  }

  Status check_keys() const {
    const JsonObject* object = value_.if_object();
    if (object == nullptr) return refuse("its entry is not an object");
    for (const auto& [key, member] : *object) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        return refuse("its entry has the unknown key '" + std::string(key) + "'");
      }
    }
    return {};
  }

  Result<DType> type() const {
    const Json* member = find(value_, "dtype");
    if (member == nullptr || !member->is_string()) return refuse("it has no dtype");
    const std::string text(member->get_string());
    if (const auto known = dtype_of(text)) return *known;
    return refuse("its dtype '" + text + "' is not supported");
  }

  /// A list of whole numbers that are not negative.
  Result<std::vector<std::int64_t>> numbers(const char* key) const {
    const Json* member = find(value_, key);
    const JsonArray* array = member == nullptr ? nullptr : member->if_array();
    if (array == nullptr) return refuse("it has no list '" + std::string(key) + "'");
    if (array->size() > kMaxDims) return refuse("its " + std::string(key) + " is too long");
    std::vector<std::int64_t> list;
    for (const Json& item : *array) {
      const std::int64_t* n = item.if_int64();
      if (n == nullptr || *n < 0) {
        return refuse("its " + std::string(key) + " holds " + print_json(item) +
                      ", not a whole number below 2^63");
      }
      list.push_back(*n);
    }
    return list;
  }

  Status check_size(const Entry& entry) const {
    const auto elements = element_count(entry.tensor.shape);
    const auto bytes = elements ? storage_bytes(entry.tensor.type, *elements) : std::nullopt;
    if (!bytes) return refuse("its shape " + shape_text(entry.tensor.shape) + " is impossible");
    if (*bytes == entry.end - entry.begin) return {};
    return refuse("its shape " + shape_text(entry.tensor.shape) + " takes " +
                  std::to_string(*bytes) + " bytes, but its data_offsets span " +
                  std::to_string(entry.end - entry.begin));
  }

  std::string name_;
  const Json& value_;
  std::string where_;
};

Result<std::string_view> read_header(ByteReader& in, std::string_view where) {
  BUNDLE_TRY(const auto length, in.read<std::uint64_t>("the header's length"));
  if (length > kMaxHeader) {
    return bad_input("a header of " + std::to_string(length) + " bytes is over 100 MB: this is " +
                         "no safetensors file, or it is damaged",
                     std::string(where));
  }
  BUNDLE_TRY(const Bytes bytes, in.take(length, "the header"));
  const std::string_view text = as_text(bytes);
  if (!text.starts_with('{'))
    return bad_input("the header is not a JSON object", std::string(where));
  return text;
}

Status check_metadata(const Json& value, std::string_view where) {
  const JsonObject* object = value.if_object();
  if (object == nullptr) return bad_input("__metadata__ is not an object", std::string(where));
  for (const auto& [key, member] : *object) {
    if (!member.is_string()) {
      return bad_input("__metadata__ holds '" + std::string(key) + "', which is not a string",
                       std::string(where));
    }
  }
  return {};
}

/// Sorted by their data, entries must follow one another from the first byte to the last.
Status check_cover(std::vector<Entry>& entries, std::uint64_t size, std::string_view where) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t at = 0;
  for (const Entry& entry : entries) {
    const std::string text = "the tensor '" + entry.tensor.name + "' ";
    if (entry.begin < at) {
      return bad_input(text + "overlaps the one before it", std::string(where));
    }
    if (entry.begin > at) {
      return bad_input(
          text + "leaves a hole of " + std::to_string(entry.begin - at) + " bytes before it",
          std::string(where));
    }
    if (entry.end > size) {
      return bad_input(text + "ends at " + std::to_string(entry.end) + ", but the file holds " +
                           std::to_string(size) + " bytes of data",
                       std::string(where), "The file is truncated or damaged; fetch it again.");
    }
    at = entry.end;
  }
  if (at == size) return {};
  return bad_input(std::to_string(size - at) + " bytes after the last tensor belong to none",
                   std::string(where), "The file is damaged; fetch it again.");
}

}  // namespace

Result<std::vector<TensorView>> parse_safetensors(Bytes file, std::string_view where) {
  ByteReader in(file, std::string(where));
  BUNDLE_TRY(const std::string_view header, read_header(in, where));
  BUNDLE_TRY(const Json json, parse_json(header, where));
  std::vector<Entry> entries;
  for (const auto& [key, value] : json.get_object()) {
    if (key == "__metadata__") {
      BUNDLE_CHECK(check_metadata(value, where));
      continue;
    }
    BUNDLE_TRY(Entry entry, EntryParser(key, value, where).parse());
    entries.push_back(std::move(entry));
  }
  const Bytes data = file.subspan(in.offset());
  BUNDLE_CHECK(check_cover(entries, data.size(), where));
  std::vector<TensorView> tensors;
  tensors.reserve(entries.size());
  for (Entry& entry : entries) {
    entry.tensor.data = data.subspan(entry.begin, entry.end - entry.begin);
    tensors.push_back(std::move(entry.tensor));
  }
  return tensors;
}

}  // namespace bundle::format
