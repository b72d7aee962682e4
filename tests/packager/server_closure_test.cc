// What the server carries into every bundle: each library by name, and how much it all is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "packager/build.h"
#include "packager/runtime_pack.h"
#include "tests/packager/sample_model.h"

namespace bundle::packager {
namespace {

const Path kServer = BUNDLE_BINARY_DIR "/bin/bundle-server";
constexpr std::uint64_t kMostBytes = 30'000'000;

/// "runtime/lib/libfmt.so.9" without the version, which differs between distributions.
std::string bare(std::string path) { return path.substr(0, path.find(".so")); }

// A library more is a decision, not an accident: libcurl once brought 28 others along, Kerberos and
// LDAP among them, 10 MB of every bundle.
TEST(ServerClosure, HoldsTheseLibrariesAndNoOther) {
  const auto files = collect_runtime(kServer);
  ASSERT_TRUE(files) << files.error().message();
  std::vector<std::string> names;
  for (const PackFile& file : *files) names.push_back(bare(file.image));
  EXPECT_THAT(names,
              testing::UnorderedElementsAre(
                  "runtime/bin/bundle-server", "runtime/lib/ld-linux-x86-64", "runtime/lib/libc",
                  "runtime/lib/libcrypto", "runtime/lib/libfmt", "runtime/lib/libgcc_s",
                  "runtime/lib/libm", "runtime/lib/libprometheus-cpp-core", "runtime/lib/libspdlog",
                  "runtime/lib/libssl", "runtime/lib/libstdc++", "runtime/lib/libutf8proc"));
}

// The backend for GPUs is a layer of its own, of some 7 MB for each kind of GPU.
TEST(ServerClosure, ABundleForCpusAddsUnder30MegabytesToItsWeights) {
  const golden::TempFolder folder;
  ASSERT_TRUE(sample::write_model(folder.path() / "tiny"));
  Store store = *Store::open(folder.path() / "store");
  BuildOptions options;
  options.server = kServer;
  options.with_cuda = false;
  const auto built = build(folder.path() / "tiny", store, options, {});
  ASSERT_TRUE(built) << built.error().message();
  std::uint64_t beside_weights = built->size;
  for (const BuiltLayer& layer : built->layers) {
    if (layer.role == "weights") beside_weights -= layer.size;
  }
  EXPECT_LT(beside_weights, kMostBytes);
  std::printf("beside its weights the bundle has %llu bytes\n",
              static_cast<unsigned long long>(beside_weights));
}

}  // namespace
}  // namespace bundle::packager
