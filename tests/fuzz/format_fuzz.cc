// One input to every parser of runtime/format: whatever it holds, they answer with a model that may
// be read or with an error. clang++ -fsanitize=fuzzer finds the entry by its name; tests/format
// calls it with damaged files.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/format/gguf.h"
#include "runtime/format/model_config.h"
#include "runtime/format/safetensors.h"

namespace bundle::format {
namespace {

/// Reads every byte that a parser handed out, for the sanitizer to see.
unsigned touch(const std::vector<TensorView>& tensors) {
  unsigned sum = 0;
  for (const TensorView& tensor : tensors) {
    for (const std::byte byte : tensor.data) sum += static_cast<unsigned>(byte);
    sum += static_cast<unsigned>(tensor.elements());
  }
  return sum;
}

}  // namespace
}  // namespace bundle::format

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bundle;
  // A copy of its own, so that the byte behind the end is poisoned.
  const std::vector<std::byte> input(reinterpret_cast<const std::byte*>(data),
                                     reinterpret_cast<const std::byte*>(data) + size);
  const Bytes bytes(input);
  volatile unsigned sink = 0;
  if (const auto file = format::parse_gguf(bytes, "fuzz")) sink = format::touch(file->tensors);
  if (const auto list = format::parse_safetensors(bytes, "fuzz")) sink = format::touch(*list);
  if (const auto config = format::parse_model_config(as_text(bytes), as_text(bytes))) {
    sink = static_cast<unsigned>(config->num_layers);
  }
  static_cast<void>(sink);
  return 0;
}
