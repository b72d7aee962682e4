#include "packager/quantize/quantized_source.h"

#include <algorithm>

#include "packager/quantize/file_maker.h"
#include "packager/quantize/plan_gguf.h"
#include "packager/quantize/plan_safetensors.h"

namespace bundle::packager::quantize {
namespace {

constexpr const char* kConfig = "config.json";
constexpr const char* kIndex = "model.safetensors.index.json";

/// All files that are to be made, small ones as text.
struct Plan {
  std::vector<PlannedFile> weights;
  std::vector<std::pair<std::string, std::string>> texts;  // name and content
};

Result<Plan> make_plan(const format::Checkpoint& checkpoint, const format::ModelConfig& config,
                       Quantization quantization) {
  Plan plan;
  if (quantization != Quantization::kF8 && quantization != Quantization::kInt8) {
    BUNDLE_TRY(PlannedFile file, plan_gguf(checkpoint, config, quantization));
    plan.weights.push_back(std::move(file));
    return plan;
  }
  BUNDLE_TRY(SafetensorsPlan made, plan_safetensors(checkpoint, quantization));
  plan.weights = std::move(made.files);
  plan.texts.emplace_back(kConfig, std::move(made.config));
  if (!made.index.empty()) plan.texts.emplace_back(kIndex, std::move(made.index));
  return plan;
}

std::uint64_t elements_of(const std::vector<PlannedFile>& files) {
  std::uint64_t elements = 0;
  for (const PlannedFile& file : files) {
    for (const PlannedTensor& tensor : file.tensors) {
      elements += static_cast<std::uint64_t>(tensor.rows() * tensor.cols());
    }
  }
  return elements;
}

class Maker {
 public:
  Maker(const WriteSession& session, const Progress& progress, std::uint64_t elements)
      : session_(session), progress_(progress), elements_(elements) {}

  Status make(const PlannedFile& planned, const format::Checkpoint& checkpoint) {
    BUNDLE_TRY(TemporaryFile file, session_.temporary());
    const ElementMeter meter = [this](std::uint64_t more) {
      done_ += more;
      return !progress_ || progress_("quantizing", done_, elements_);
    };
    BUNDLE_CHECK(make_file(planned, checkpoint, file.fd(), 0, meter));
    return add(planned.name, planned.size, std::move(file), true);
  }

  Status make(const std::string& name, const std::string& text) {
    BUNDLE_TRY(TemporaryFile file, session_.temporary());
    BUNDLE_CHECK(file.write(text));
    return add(name, text.size(), std::move(file), false);
  }

  QuantizedSource take() { return std::move(made_); }

 private:
  Status add(const std::string& name, std::uint64_t size, TemporaryFile file, bool is_weight) {
    // By its descriptor: what it is called in the store is the store's own affair.
    const Path path = "/proc/self/fd/" + std::to_string(file.fd());
    BUNDLE_TRY(const FileStamp stamp, stamp_file(path));
    made_.chosen.push_back({{name, path, 0, size}, stamp, is_weight});
    made_.files.push_back(std::move(file));
    return {};
  }

  const WriteSession& session_;
  const Progress& progress_;
  std::uint64_t elements_;
  std::uint64_t done_ = 0;
  QuantizedSource made_;
};

/// A GGUF is not looked for beside safetensors, and their index would then name what is not there.
bool is_kept(const ChosenFile& file, const std::vector<ChosenFile>& made) {
  return !file.is_weight && file.file.name != kIndex &&
         std::ranges::none_of(
             made, [&](const ChosenFile& one) { return one.file.name == file.file.name; });
}

}  // namespace

Result<QuantizedSource> quantize_source(const BuildSource& source,
                                        const format::Checkpoint& checkpoint,
                                        const format::ModelConfig& config,
                                        Quantization quantization, const WriteSession& session,
                                        const Progress& progress) {
  BUNDLE_TRY(const Plan plan, make_plan(checkpoint, config, quantization));
  Maker maker(session, progress, elements_of(plan.weights));
  for (const PlannedFile& file : plan.weights) BUNDLE_CHECK(maker.make(file, checkpoint));
  for (const auto& [name, text] : plan.texts) BUNDLE_CHECK(maker.make(name, text));
  QuantizedSource made = maker.take();
  std::vector<ChosenFile> kept;
  for (const ChosenFile& file : source.files) {
    if (is_kept(file, made.chosen)) kept.push_back(file);
  }
  made.chosen.insert(made.chosen.end(), kept.begin(), kept.end());
  std::ranges::sort(made.chosen, {}, [](const ChosenFile& file) { return file.file.name; });
  return made;
}

}  // namespace bundle::packager::quantize
