// measure_perplexity MODEL IDS.json CONTEXT DEVICE: perplexity of the token ids in a JSON list
// under a GGUF file or a Hugging Face folder, as one JSON line. DEVICE is "reference" or an ISA.
#include <chrono>
#include <iostream>

#include "base/json.h"
#include "runtime/model/perplexity.h"
#include "tests/model/model_runner.h"

namespace bundle::model {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Status measure(const Path& path, const std::string& ids_file, std::int64_t context,
               const std::string& device_name) {
  BUNDLE_TRY(const Json list, read_json_file(ids_file));
  std::vector<std::int32_t> ids;
  for (const Json& id : list.as_array()) ids.push_back(static_cast<std::int32_t>(id.as_int64()));
  const auto device = TestDevice{device_name, 0, 0}.make();
  BUNDLE_TRY(auto source, format::ModelSource::open(path));
  BUNDLE_TRY(const auto checkpoint, format::Checkpoint::open(std::move(source)));
  BUNDLE_TRY(const auto model, load_model(checkpoint, *device));
  const auto start = std::chrono::steady_clock::now();
  BUNDLE_TRY(const double result, perplexity(*model, *device, ids, {.context = context}));
  std::cout << print_json(JsonObject{{"device", device->name()},
                                     {"tokens", ids.size()},
                                     {"chunks", ids.size() / static_cast<std::size_t>(context)},
                                     {"perplexity", result},
                                     {"seconds", seconds_since(start)}})
            << "\n";
  return {};
}

}  // namespace
}  // namespace bundle::model

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: measure_perplexity MODEL IDS.json CONTEXT DEVICE\n";
    return 2;
  }
  const auto done = bundle::model::measure(argv[1], argv[2], std::atoll(argv[3]), argv[4]);
  if (done) return 0;
  std::cerr << "error: " << done.error().message() << "\n";
  return static_cast<int>(done.error().code);
}
