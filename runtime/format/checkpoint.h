// A model's tensors and metadata, checked, whichever format they were published in.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "runtime/format/gguf.h"
#include "runtime/format/source.h"

namespace bundle::format {

/// One tensor in place. `shape` is row-major, outermost first, as Hugging Face prints it (GGUF's
/// order is turned round). `data` has exactly storage_bytes of the elements.
struct TensorView {
  std::string name;
  DType type = DType::kF32;
  std::vector<std::int64_t> shape;
  Bytes data;

  std::int64_t elements() const;
};

/// An opened model: maps its weight files and knows every tensor. Tensors live as long as it does.
/// Thread-safe when const.
class Checkpoint {
 public:
  /// Opens the safetensors (one file, or shards with model.safetensors.index.json) or the GGUF
  /// (one file or split) in `source`. Every length and offset is checked here: tensors of the
  /// index that no shard holds, tensors that overlap or leave their file, and shapes whose size
  /// is not their data's are refused by name.
  static Result<Checkpoint> open(ModelSource source);

  const ModelSource& source() const { return source_; }
  bool is_gguf() const { return gguf_ != nullptr; }
  /// GGUF metadata (of the first split); null for safetensors.
  const GgufMetadata* gguf() const { return gguf_.get(); }

  /// Every tensor, by its published name.
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  /// Null when there is none.
  const TensorView* find(std::string_view name) const;

  /// Bytes of all tensors.
  std::uint64_t weight_bytes() const;
  /// Lets the kernel drop a tensor's pages from this process (after they were repacked).
  void drop(const TensorView& tensor) const;

 private:
  ModelSource source_;
  std::vector<MappedFile> maps_;
  std::unique_ptr<GgufMetadata> gguf_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

}  // namespace bundle::format
