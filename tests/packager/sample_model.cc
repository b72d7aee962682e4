#include "tests/packager/sample_model.h"

#include <algorithm>
#include <fstream>

#include "tests/golden/safetensors_writer.h"

namespace bundle::packager::sample {

Status write_model(const Path& folder, const std::string& missing) {
  BUNDLE_TRY(const golden::Golden golden,
             golden::read_golden(Path(BUNDLE_SOURCE_DIR) / "tests" / "golden" / "llama_tied"));
  std::vector<golden::StoredTensor> tensors;
  for (const golden::TensorSpec& spec : golden.tensors) {
    if (spec.name == missing) continue;
    BUNDLE_TRY(std::string bytes, golden::tensor_bytes(golden, spec));
    tensors.push_back({spec.name, spec.type, spec.shape, std::move(bytes)});
  }
  write_text(folder / "config.json", golden.config_json);
  write_text(folder / "tokenizer_config.json", R"({"chat_template":"{{ messages }}"})");
  write_text(folder / "model.safetensors", golden::safetensors_text(tensors));
  return {};
}

void write_text(const Path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<std::string> files_below(const Path& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, error)) {
    if (!entry.is_directory()) files.push_back(entry.path().lexically_relative(folder).string());
  }
  std::ranges::sort(files);
  return files;
}

BuildOptions no_runtime() {
  BuildOptions options;
  options.with_runtime = false;
  return options;
}

}  // namespace bundle::packager::sample
