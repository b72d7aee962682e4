#include "tests/golden/safetensors_writer.h"

#include "base/json.h"

namespace bundle::golden {

std::string safetensors_text(const std::vector<StoredTensor>& tensors) {
  JsonObject header;
  header["__metadata__"] = JsonObject{{"format", "pt"}};
  std::size_t offset = 0;
  for (const StoredTensor& tensor : tensors) {
    header[tensor.name] =
        JsonObject{{"dtype", dtype_info(tensor.type).name},
                   {"shape", JsonArray(tensor.shape.begin(), tensor.shape.end())},
                   {"data_offsets", JsonArray{offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = print_json(header);
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string file;
  for (std::size_t i = 0; i < 8; ++i) file += static_cast<char>(text.size() >> (8 * i) & 0xFFu);
  file += text;
  for (const StoredTensor& tensor : tensors) file += tensor.bytes;
  return file;
}

}  // namespace bundle::golden
