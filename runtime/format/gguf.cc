// The parser reads the file once, front to back, through a ByteReader: nothing it is told (a count,
// a length, an offset) is believed before it was compared with the bytes that are left.
#include "runtime/format/gguf.h"

#include <algorithm>
#include <set>

#include "runtime/format/gguf_types.h"

namespace bundle::format {
namespace {

/// Values of all arrays of one file together: no published model comes near, and a hostile file
/// cannot make us take more than half a gigabyte.
constexpr std::uint64_t kMaxArrayValues = 1u << 24;
constexpr std::uint64_t kMaxString = 1u << 26;
constexpr std::uint32_t kMaxDims = 4;
constexpr std::uint64_t kDefaultAlignment = 32;

/// Fewest bytes that an entry takes: name length, one letter, type, one byte of value.
constexpr std::uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;
/// Name length, one letter, number of dimensions, type, offset.
constexpr std::uint64_t kLeastTensorBytes = 8 + 1 + 4 + 4 + 8;

struct TableEntry {
  TensorView tensor;  // without data
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

class Parser {
 public:
  Parser(Bytes file, std::string_view where)
      : file_(file), where_(where), in_(file, std::string(where)) {}

  Result<GgufFile> parse() {
    BUNDLE_TRY(const std::uint32_t version, read_version());
    BUNDLE_TRY(const std::uint64_t tensors, read_count("tensor count", kLeastTensorBytes));
    BUNDLE_TRY(const std::uint64_t keys, read_count("metadata count", kLeastKeyBytes));
    BUNDLE_TRY(GgufMetadata metadata, read_metadata(keys));
    BUNDLE_TRY(const std::uint64_t alignment, alignment_from(metadata));
    BUNDLE_TRY(std::vector<TableEntry> table, read_table(tensors));
    BUNDLE_TRY(std::vector<TensorView> placed, place(std::move(table), alignment));
    return GgufFile{version, std::move(metadata), std::move(placed)};
  }

 private:
  Error refuse(std::string what, std::string remedy = {}) const {
    return bad_input(std::move(what), where_, std::move(remedy));
  }

  Result<std::uint32_t> read_version() {
    BUNDLE_TRY(const Bytes magic, in_.take(4, "the magic number"));
    if (as_text(magic) != "GGUF") return refuse("not a GGUF file: it does not begin with 'GGUF'");
    BUNDLE_TRY(const auto version, in_.read<std::uint32_t>("the version"));
    if (version == 2 || version == 3) return version;
    if ((version & 0xFFFF) == 0) {
      return refuse("a big-endian GGUF file is not supported",
                    "Convert it with gguf-py's gguf-convert-endian.");
    }
    return refuse("GGUF version " + std::to_string(version) + " is not supported, only 2 and 3",
                  "Convert the model again with a current llama.cpp.");
  }

  Result<std::uint64_t> read_count(const char* what, std::uint64_t least_bytes) {
    BUNDLE_TRY(const auto count, in_.read<std::uint64_t>(what));
    if (count > in_.left() / least_bytes) {
      return refuse("a " + std::string(what) + " of " + std::to_string(count) +
                    " cannot fit in the " + std::to_string(in_.left()) + " bytes that are left");
    }
    return count;
  }

  Result<std::string> read_string(const char* what) {
    BUNDLE_TRY(const auto length, in_.read<std::uint64_t>(what));
    if (length > kMaxString) {
      return refuse(std::string(what) + " has " + std::to_string(length) + " bytes, over 64 MiB");
    }
    BUNDLE_TRY(const Bytes bytes, in_.take(length, what));
    return std::string(as_text(bytes));
  }

  Result<GgufMetadata> read_metadata(std::uint64_t count) {
    std::map<std::string, GgufValue, std::less<>> values;
    for (std::uint64_t i = 0; i < count; ++i) {
      BUNDLE_TRY(std::string key, read_string("a metadata key"));
      BUNDLE_CHECK(check_name(key, "metadata key", where_));
      BUNDLE_TRY(const auto type, in_.read<std::uint32_t>("a metadata type"));
      BUNDLE_TRY(GgufValue value, read_value(key, type));
      const auto [at, fresh] = values.try_emplace(std::move(key), std::move(value));
      if (!fresh) return refuse("the metadata key '" + at->first + "' comes twice");
    }
    return GgufMetadata(std::move(values));
  }

  Result<GgufValue> read_value(const std::string& key, std::uint32_t type) {
    switch (static_cast<GgufType>(type)) {
      case GgufType::kU8:
        return read_number<std::uint8_t, std::uint64_t>();
      case GgufType::kI8:
        return read_number<std::int8_t, std::int64_t>();
      case GgufType::kU16:
        return read_number<std::uint16_t, std::uint64_t>();
      case GgufType::kI16:
        return read_number<std::int16_t, std::int64_t>();
      case GgufType::kU32:
        return read_number<std::uint32_t, std::uint64_t>();
      case GgufType::kI32:
        return read_number<std::int32_t, std::int64_t>();
      case GgufType::kU64:
        return read_number<std::uint64_t, std::uint64_t>();
      case GgufType::kI64:
        return read_number<std::int64_t, std::int64_t>();
      case GgufType::kF32:
        return read_number<float, double>();
      case GgufType::kF64:
        return read_number<double, double>();
      case GgufType::kBool: {
        BUNDLE_TRY(const bool value, read_bool(key));
        return GgufValue(value);
      }
      case GgufType::kString: {
        BUNDLE_TRY(std::string value, read_string("a metadata string"));
        return GgufValue(std::move(value));
      }
      case GgufType::kArray:
        return read_array(key);
    }
    return unknown_type(key, type);
  }

  Error unknown_type(const std::string& key, std::uint32_t type) const {
    return refuse("the metadata key '" + key + "' has the unknown type " + std::to_string(type));
  }

  template <typename Wire, typename Wide>
  Result<GgufValue> read_number() {
    BUNDLE_TRY(const auto value, in_.read<Wire>("a metadata number"));
    return GgufValue(Wide{value});
  }

  Result<bool> read_bool(const std::string& key) {
    BUNDLE_TRY(const auto value, in_.read<std::uint8_t>("a metadata boolean"));
    if (value > 1) {
      return refuse("the metadata key '" + key + "' is a boolean of value " +
                    std::to_string(value));
    }
    return value == 1;
  }

  Result<GgufValue> read_array(const std::string& key) {
    BUNDLE_TRY(const auto type, in_.read<std::uint32_t>("an array's type"));
    BUNDLE_TRY(const auto count, in_.read<std::uint64_t>("an array's length"));
    const std::uint64_t least = wire_bytes(type);
    if (type == static_cast<std::uint32_t>(GgufType::kArray)) {
      return refuse("the metadata key '" + key + "' is an array of arrays");
    }
    if (least == 0) return unknown_type(key, type);
    if (count > in_.left() / least) {
      return refuse("the array '" + key + "' of " + std::to_string(count) +
                        " values runs past the end of the file",
                    "The file is truncated or damaged; fetch it again.");
    }
    if (count > kMaxArrayValues - array_values_) {
      return refuse("the metadata arrays hold more than " + std::to_string(kMaxArrayValues) +
                    " values; '" + key + "' alone has " + std::to_string(count));
    }
    array_values_ += count;
    return read_array_of(key, static_cast<GgufType>(type), count);
  }

  Result<GgufValue> read_array_of(const std::string& key, GgufType type, std::uint64_t count) {
    switch (type) {
      case GgufType::kU8:
        return read_numbers<std::uint8_t, std::uint64_t>(count);
      case GgufType::kI8:
        return read_numbers<std::int8_t, std::int64_t>(count);
      case GgufType::kU16:
        return read_numbers<std::uint16_t, std::uint64_t>(count);
      case GgufType::kI16:
        return read_numbers<std::int16_t, std::int64_t>(count);
      case GgufType::kU32:
        return read_numbers<std::uint32_t, std::uint64_t>(count);
      case GgufType::kI32:
        return read_numbers<std::int32_t, std::int64_t>(count);
      case GgufType::kU64:
        return read_numbers<std::uint64_t, std::uint64_t>(count);
      case GgufType::kI64:
        return read_numbers<std::int64_t, std::int64_t>(count);
      case GgufType::kF32:
        return read_numbers<float, double>(count);
      case GgufType::kF64:
        return read_numbers<double, double>(count);
      case GgufType::kBool:
        return read_bools(key, count);
      case GgufType::kString:
      case GgufType::kArray:
        break;
    }
    return read_strings(count);
  }

  template <typename Wire, typename Wide>
  Result<GgufValue> read_numbers(std::uint64_t count) {
    BUNDLE_TRY(const Bytes raw, in_.take(count * sizeof(Wire), "an array"));
    std::vector<Wide> values(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      Wire value;
      std::memcpy(&value, raw.data() + i * sizeof(Wire), sizeof(Wire));
      values[i] = Wide{value};
    }
    return GgufValue(std::move(values));
  }

  Result<GgufValue> read_bools(const std::string& key, std::uint64_t count) {
    std::vector<bool> values;
    values.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      BUNDLE_TRY(const bool value, read_bool(key));
      values.push_back(value);
    }
    return GgufValue(std::move(values));
  }

  Result<GgufValue> read_strings(std::uint64_t count) {
    std::vector<std::string> values;
    values.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      BUNDLE_TRY(std::string value, read_string("a string of an array"));
      values.push_back(std::move(value));
    }
    return GgufValue(std::move(values));
  }

  Result<std::uint64_t> alignment_from(const GgufMetadata& metadata) const {
    BUNDLE_TRY(const std::int64_t value,
               metadata.get_int_or("general.alignment", kDefaultAlignment));
    const auto alignment = static_cast<std::uint64_t>(value);
    if (value <= 0 || !std::has_single_bit(alignment)) {
      return refuse("general.alignment is " + std::to_string(value) + ", not a power of two");
    }
    return alignment;
  }

  Result<std::vector<TableEntry>> read_table(std::uint64_t count) {
    std::vector<TableEntry> table;
    std::set<std::string, std::less<>> names;
    for (std::uint64_t i = 0; i < count; ++i) {
      BUNDLE_TRY(TableEntry entry, read_entry());
      if (!names.insert(entry.tensor.name).second) {
        return refuse("the tensor '" + entry.tensor.name + "' comes twice");
      }
      table.push_back(std::move(entry));
    }
    return table;
  }

  Result<TableEntry> read_entry() {
    TableEntry entry;
    TensorView& tensor = entry.tensor;
    BUNDLE_TRY(tensor.name, read_string("a tensor's name"));
    BUNDLE_CHECK(check_name(tensor.name, "tensor", where_));
    BUNDLE_TRY(tensor.shape, read_shape(tensor.name));
    BUNDLE_TRY(const auto number, in_.read<std::uint32_t>("a tensor's type"));
    BUNDLE_TRY(tensor.type, tensor_type(number, tensor.name));
    BUNDLE_TRY(entry.offset, in_.read<std::uint64_t>("a tensor's offset"));
    BUNDLE_TRY(entry.bytes, size_of(tensor));
    return entry;
  }

  /// The file lists the innermost dimension first.
  Result<std::vector<std::int64_t>> read_shape(const std::string& name) {
    BUNDLE_TRY(const auto dims, in_.read<std::uint32_t>("a tensor's number of dimensions"));
    if (dims > kMaxDims) {
      return refuse("the tensor '" + name + "' has " + std::to_string(dims) +
                    " dimensions, more than 4");
    }
    std::vector<std::int64_t> shape(dims);
    for (std::uint32_t i = dims; i-- > 0;) {
      BUNDLE_TRY(shape[i], in_.read<std::int64_t>("a tensor's dimension"));
    }
    return shape;
  }

  Result<DType> tensor_type(std::uint32_t number, const std::string& name) const {
    if (const auto type = gguf_dtype(number)) return *type;
    return refuse("the tensor '" + name + "' has the type " + gguf_type_name(number) +
                      ", which is not supported",
                  "Choose a file with F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, "
                  "IQ4_NL or IQ4_XS weights.");
  }

  Result<std::uint64_t> size_of(const TensorView& tensor) const {
    const std::string text = "the tensor '" + tensor.name + "' of shape " +
                             shape_text(tensor.shape) + " (" +
                             std::string(dtype_info(tensor.type).name) + ")";
    const auto elements = element_count(tensor.shape);
    if (!elements) return refuse(text + " has an impossible size");
    const std::int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
    const int block = dtype_info(tensor.type).block;
    if (row % block != 0) {
      return refuse(text + " has rows that are not whole blocks of " + std::to_string(block));
    }
    const auto bytes = storage_bytes(tensor.type, *elements);
    if (!bytes) return refuse(text + " has an impossible size");
    return *bytes;
  }

  Result<std::vector<TensorView>> place(std::vector<TableEntry> table, std::uint64_t alignment) {
    const std::uint64_t padding = (alignment - in_.offset() % alignment) % alignment;
    const Bytes section = padding > in_.left() ? Bytes{} : file_.subspan(in_.offset() + padding);
    std::vector<TensorView> tensors;
    tensors.reserve(table.size());
    for (TableEntry& entry : table) {
      BUNDLE_CHECK(check_range(entry, alignment, section.size()));
      entry.tensor.data = section.subspan(entry.offset, entry.bytes);
      tensors.push_back(std::move(entry.tensor));
    }
    BUNDLE_CHECK(check_overlaps(tensors, where_));
    return tensors;
  }

  Status check_range(const TableEntry& entry, std::uint64_t alignment, std::uint64_t size) const {
    const std::string text = "the tensor '" + entry.tensor.name + "' at offset " +
                             std::to_string(entry.offset) + " (" + std::to_string(entry.bytes) +
                             " bytes)";
    if (entry.offset % alignment != 0) {
      return refuse(text + " is not aligned to " + std::to_string(alignment));
    }
    if (entry.offset > size || entry.bytes > size - entry.offset) {
      return refuse(
          text + " leaves the file, whose data section has " + std::to_string(size) + " bytes",
          "The file is truncated or damaged; fetch it again.");
    }
    return {};
  }

  Bytes file_;
  std::string where_;
  ByteReader in_;
  std::uint64_t array_values_ = 0;
};

}  // namespace

Result<GgufFile> parse_gguf(Bytes file, std::string_view where) {
  return Parser(file, where).parse();
}

}  // namespace bundle::format
