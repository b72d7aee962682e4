// make_golden_checkpoint NAME|FOLDER OUT_DIR: writes the checkpoint of tests/golden/NAME, or of any
// folder with config.json and expected.json, as config.json and model.safetensors.
#include <iostream>

#include "tests/golden/golden_weights.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: make_golden_checkpoint NAME|FOLDER OUT_DIR\n";
    return 2;
  }
  bundle::Path folder = argv[1];
  if (!folder.has_parent_path()) folder = bundle::Path(BUNDLE_SOURCE_DIR "/tests/golden") / folder;
  const auto golden = bundle::golden::read_golden(folder);
  const bundle::Status done =
      golden ? bundle::golden::make_checkpoint(*golden, argv[2]) : bundle::Status(golden.error());
  if (done) return 0;
  std::cerr << "error: " << done.error().message() << "\n";
  return static_cast<int>(done.error().code);
}
