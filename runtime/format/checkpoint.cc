#include "runtime/format/checkpoint.h"

#include <algorithm>
#include <cstring>

#include "runtime/format/gguf_split.h"
#include "runtime/format/safetensors.h"
#include "runtime/format/safetensors_index.h"

namespace bundle::format {
namespace {

/// Expert matrices of one model; the largest published has 70 thousand.
constexpr std::int64_t kMaxExperts = 1 << 18;

bool has_suffix(const ModelSource& source, std::string_view suffix) {
  return std::any_of(source.files().begin(), source.files().end(),
                     [&](const SourceFile& file) { return file.name.ends_with(suffix); });
}

/// The index and the shards must tell the same: every tensor of a shard is listed for that shard.
Status check_listed(const SafetensorsFiles& files, const std::vector<TensorView>& tensors,
                    const std::string& shard) {
  if (files.weight_map.empty()) return {};
  for (const TensorView& tensor : tensors) {
    const auto at = files.weight_map.find(tensor.name);
    if (at == files.weight_map.end()) {
      return bad_input("the tensor '" + tensor.name + "' is not in the index", shard,
                       "Index and shards do not belong together; fetch the model again.");
    }
    if (at->second != shard) {
      return bad_input("the index puts the tensor '" + tensor.name + "' into '" + at->second + "'",
                       shard, "Index and shards do not belong together; fetch the model again.");
    }
  }
  return {};
}

/// "blk.3.ffn_up_exps.weight".
bool is_expert_stack(const TensorView& tensor) {
  return tensor.shape.size() == 3 && tensor.name.starts_with("blk.") &&
         tensor.name.ends_with("_exps.weight");
}

}  // namespace

Result<Checkpoint> Checkpoint::open(ModelSource source) {
  Checkpoint checkpoint;
  checkpoint.source_ = std::move(source);
  const bool gguf =
      has_suffix(checkpoint.source_, ".gguf") && !has_suffix(checkpoint.source_, ".safetensors");
  BUNDLE_CHECK(gguf ? checkpoint.open_gguf() : checkpoint.open_safetensors());
  return checkpoint;
}

Status Checkpoint::open_safetensors() {
  BUNDLE_TRY(const SafetensorsFiles files, safetensors_files(source_));
  for (const std::string& name : files.names) {
    BUNDLE_TRY(MappedFile map, source_.map(name));
    BUNDLE_TRY(std::vector<TensorView> tensors, parse_safetensors(map.bytes(), name));
    BUNDLE_CHECK(check_listed(files, tensors, name));
    maps_.push_back(std::move(map));
    BUNDLE_CHECK(add(std::move(tensors), name));
  }
  for (const auto& [tensor, shard] : files.weight_map) {
    if (find(tensor) == nullptr) {
      return bad_input("the tensor '" + tensor + "' of the index is missing", shard,
                       "Index and shards do not belong together; fetch the model again.");
    }
  }
  return {};
}

Status Checkpoint::open_gguf() {
  BUNDLE_TRY(const std::vector<std::string> parts, gguf_parts(source_));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    BUNDLE_TRY(MappedFile map, source_.map(parts[i]));
    BUNDLE_TRY(GgufFile file, parse_gguf(map.bytes(), parts[i]));
    BUNDLE_CHECK(check_split(file.metadata, i + 1, parts.size(), parts[i]));
    maps_.push_back(std::move(map));
    BUNDLE_CHECK(add(std::move(file.tensors), parts[i]));
    if (i == 0) gguf_ = std::make_unique<GgufMetadata>(std::move(file.metadata));
  }
  BUNDLE_CHECK(check_split_total(*gguf_, tensors_.size(), parts[0]));
  return slice_experts();
}

Status Checkpoint::add(std::vector<TensorView> tensors, std::string_view where) {
  for (TensorView& tensor : tensors) {
    align(tensor);
    const auto [at, fresh] = tensors_.try_emplace(tensor.name, std::move(tensor));
    if (!fresh) {
      return bad_input("the tensor '" + at->first + "' is also in another file of the model",
                       std::string(where));
    }
  }
  return {};
}

/// Kernels read elements through typed pointers. Current writers align every tensor; the few that
/// an old or foreign one left askew are copied.
void Checkpoint::align(TensorView& tensor) {
  const auto address = reinterpret_cast<std::uintptr_t>(tensor.data.data());
  if (tensor.data.empty() || address % alignment_of(tensor.type) == 0) return;
  copies_.push_back(std::make_unique<std::byte[]>(tensor.data.size()));
  std::memcpy(copies_.back().get(), tensor.data.data(), tensor.data.size());
  tensor.data = Bytes(copies_.back().get(), tensor.data.size());
}

Status Checkpoint::slice_experts() {
  for (const auto& [name, stack] : tensors_) {
    if (!is_expert_stack(stack) || stack.data.empty()) continue;
    if (stack.shape[0] > kMaxExperts - static_cast<std::int64_t>(experts_.size())) {
      return bad_input("the tensor '" + name + "' of shape " + shape_text(stack.shape) +
                       " makes more than " + std::to_string(kMaxExperts) + " experts");
    }
    const std::size_t bytes = stack.data.size() / static_cast<std::size_t>(stack.shape[0]);
    for (std::int64_t i = 0; i < stack.shape[0]; ++i) {
      TensorView expert{name + '[' + std::to_string(i) + ']',
                        stack.type,
                        {stack.shape[1], stack.shape[2]},
                        stack.data.subspan(static_cast<std::size_t>(i) * bytes, bytes)};
      experts_.emplace(expert.name, expert);
    }
  }
  return {};
}

const TensorView* Checkpoint::find(std::string_view name) const {
  if (const auto at = tensors_.find(name); at != tensors_.end()) return &at->second;
  const auto expert = experts_.find(name);
  return expert == experts_.end() ? nullptr : &expert->second;
}

std::uint64_t Checkpoint::weight_bytes() const {
  std::uint64_t total = 0;
  for (const auto& [name, tensor] : tensors_) total += tensor.data.size();
  return total;
}

void Checkpoint::drop(const TensorView& tensor) const {
  const std::byte* data = tensor.data.data();
  for (const MappedFile& map : maps_) {
    const Bytes bytes = map.bytes();
    if (std::less_equal<>()(bytes.data(), data) &&
        std::less<>()(data, bytes.data() + bytes.size())) {
      map.drop(tensor.data);
    }
  }
}

}  // namespace bundle::format
