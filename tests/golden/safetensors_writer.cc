#include "tests/golden/safetensors_writer.h"

#include "base/json.h"

namespace bundle::golden {

std::string safetensors_header(const std::vector<TensorPlace>& tensors) {
  JsonObject header;
  header["__metadata__"] = JsonObject{{"format", "pt"}};
  std::uint64_t offset = 0;
  for (const TensorPlace& tensor : tensors) {
    header[tensor.name] = JsonObject{{"dtype", dtype_info(tensor.type).name},
                                     {"shape", JsonArray(tensor.shape.begin(), tensor.shape.end())},
                                     {"data_offsets", JsonArray{offset, offset + tensor.bytes}}};
    offset += tensor.bytes;
  }
  std::string text = print_json(header);
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string head;
  for (std::size_t i = 0; i < 8; ++i) head += static_cast<char>(text.size() >> (8 * i) & 0xFFu);
  return head + text;
}

std::string safetensors_text(const std::vector<StoredTensor>& tensors) {
  std::vector<TensorPlace> places;
  for (const StoredTensor& tensor : tensors) {
    places.push_back({tensor.name, tensor.type, tensor.shape, tensor.bytes.size()});
  }
  std::string file = safetensors_header(places);
  for (const StoredTensor& tensor : tensors) file += tensor.bytes;
  return file;
}

}  // namespace bundle::golden
