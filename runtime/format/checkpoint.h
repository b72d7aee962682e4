// A model's tensors and metadata, checked, whichever format they were published in.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/format/gguf.h"
#include "runtime/format/source.h"
#include "runtime/format/tensor.h"

namespace bundle::format {

/// An opened model: maps its weight files and knows every tensor. Tensors live as long as it does.
/// Thread-safe when const.
class Checkpoint {
 public:
  /// Opens the safetensors (one file, or shards with model.safetensors.index.json) or the GGUF
  /// (one file or split) in `source`; safetensors win where both lie. Every length and offset is
  /// checked here: tensors of the index that no shard holds and the other way round, tensors that
  /// overlap or leave their file, and shapes whose size is not their data's are refused by name.
  static Result<Checkpoint> open(ModelSource source);

  const ModelSource& source() const { return source_; }
  bool is_gguf() const { return gguf_ != nullptr; }
  /// GGUF metadata (of the first split); null for safetensors.
  const GgufMetadata* gguf() const { return gguf_.get(); }

  /// Every tensor, by its published name.
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  /// Null when there is none. One expert of a GGUF's stacked experts (blk.N.ffn_*_exps.weight of
  /// shape [experts, rows, columns]) has the name of the stack with its number, "…weight[3]".
  const TensorView* find(std::string_view name) const;

  /// Bytes of all tensors.
  std::uint64_t weight_bytes() const;
  /// Lets the kernel drop a tensor's pages from this process (after they were repacked).
  void drop(const TensorView& tensor) const;

 private:
  using Tensors = std::map<std::string, TensorView, std::less<>>;

  Status open_safetensors();
  Status open_gguf();
  Status add(std::vector<TensorView> tensors, std::string_view where);
  void align(TensorView& tensor);
  Status slice_experts();

  ModelSource source_;
  std::vector<MappedFile> maps_;
  std::vector<std::unique_ptr<std::byte[]>> copies_;  // of tensors that lie unaligned
  std::unique_ptr<GgufMetadata> gguf_;
  Tensors tensors_;
  Tensors experts_;
};

}  // namespace bundle::format
