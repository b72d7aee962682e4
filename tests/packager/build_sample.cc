// Makes a store with one bundle, and a layer of a file over 8 GiB, for tests with outside tools:
//   build_sample FOLDER        FOLDER/store, FOLDER/model, FOLDER/big.tar (sparse)
// Prints the bundle's digest.
#include <cstdio>
#include <fstream>

#include "packager/build.h"
#include "packager/store.h"
#include "packager/tar_layer.h"
#include "tests/packager/sample_model.h"

namespace {

using namespace bundle::packager;

bundle::Result<BuildResult> build_sample(const bundle::Path& folder) {
  BUNDLE_CHECK(sample::write_model(folder / "model"));
  BUNDLE_TRY(Store store, Store::open(folder / "store"));
  BuildOptions options;
  options.name = "sample:v1";
  options.server = "/bin/cat";
  return build(folder / "model", store, options, {});
}

void write_big_layer(const bundle::Path& file) {
  constexpr std::uint64_t kSize = 9'000'000'001;
  std::ofstream(file, std::ios::binary) << weight_header("models/big.gguf", kSize);
  std::filesystem::resize_file(file, weight_layer_size(kSize));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const bundle::Path folder = argv[1];
  const auto built = build_sample(folder);
  if (!built) {
    std::fprintf(stderr, "%s\n", built.error().message().c_str());
    return 1;
  }
  write_big_layer(folder / "big.tar");
  std::printf("%s\n", built->digest.c_str());
  return 0;
}
