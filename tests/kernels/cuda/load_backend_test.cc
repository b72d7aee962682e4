// What is said where a GPU, its driver or the backend is missing or does not fit.
#include "runtime/kernels/cuda/load_backend.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bundle::kernels::cuda {
namespace {

using testing::HasSubstr;

constexpr const char* kBackend = BUNDLE_BINARY_DIR "/tests/libbundle_cuda_emulated.so";
constexpr const char* kDriverFolder = BUNDLE_BINARY_DIR "/tests/emulated_driver";

class LoadBackend : public testing::Test {
 protected:
  ~LoadBackend() override {
    for (const char* name : {"BUNDLE_EMULATED_DRIVER_VERSION", "BUNDLE_EMULATED_GPUS"}) {
      ::unsetenv(name);
    }
  }
  BackendPaths paths_{kBackend, kDriverFolder};
};

TEST_F(LoadBackend, WithoutADriver) {
  paths_.driver_folder = BUNDLE_BINARY_DIR "/tests/no_such_folder";
  const auto device = make_cuda_device(0, {}, paths_);
  ASSERT_TRUE(device.has_error());
  EXPECT_EQ(device.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(device.error().message(), HasSubstr("no NVIDIA driver"));
  EXPECT_THAT(device.error().remedy, HasSubstr("580"));
  EXPECT_FALSE(find_gpus(paths_).usable());
}

TEST_F(LoadBackend, WithoutTheBackend) {
  paths_.backend = BUNDLE_BINARY_DIR "/tests/no_such_library.so";
  const auto device = make_cuda_device(0, {}, paths_);
  ASSERT_TRUE(device.has_error());
  EXPECT_EQ(device.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(device.error().message(), HasSubstr("without the CUDA backend"));
}

TEST_F(LoadBackend, ALibraryThatIsNoBackend) {
  paths_.backend = Path(kDriverFolder) / "libcuda.so.1";
  const auto device = make_cuda_device(0, {}, paths_);
  ASSERT_TRUE(device.has_error());
  EXPECT_THAT(device.error().message(), HasSubstr("another version"));
}

TEST_F(LoadBackend, ADriverThatIsTooOldNamesBothVersions) {
  ::setenv("BUNDLE_EMULATED_DRIVER_VERSION", "12040", 1);
  const auto device = make_cuda_device(0, {}, paths_);
  ASSERT_TRUE(device.has_error());
  EXPECT_EQ(device.error().code, ErrorCode::kFailed);
  EXPECT_THAT(device.error().message(), HasSubstr("supports CUDA 12.4"));
  EXPECT_THAT(device.error().message(), HasSubstr("CUDA 13.0 needs 580"));
}

TEST_F(LoadBackend, WithoutAGpu) {
  ::setenv("BUNDLE_EMULATED_GPUS", "0", 1);
  const auto device = make_cuda_device(0, {}, paths_);
  ASSERT_TRUE(device.has_error());
  EXPECT_EQ(device.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(device.error().message(), HasSubstr("no CUDA-capable device"));
  EXPECT_FALSE(find_gpus(paths_).usable());
}

TEST_F(LoadBackend, AGpuThatIsNotThere) {
  const auto device = make_cuda_device(3, {}, paths_);
  ASSERT_TRUE(device.has_error());
  EXPECT_EQ(device.error().code, ErrorCode::kUsage);
  EXPECT_THAT(device.error().message(), HasSubstr("no GPU 3: this process sees 1"));
}

TEST_F(LoadBackend, AUsableGpu) {
  ::setenv("BUNDLE_EMULATED_GPUS", "2", 1);
  const GpuReport report = find_gpus(paths_);
  ASSERT_TRUE(report.usable()) << report.problem.message();
  ASSERT_EQ(report.gpus.size(), 2u);
  EXPECT_EQ(report.gpus[1].name, "emulated GPU");
  EXPECT_EQ(report.gpus[1].memory_bytes, 1u << 30);
  const auto device = make_cuda_device(1, {}, paths_);
  ASSERT_TRUE(device.has_value()) << device.error().message();
  EXPECT_EQ((*device)->name(), "cuda-sm90");
  EXPECT_EQ((*device)->free_memory(), 1u << 30);
}

}  // namespace
}  // namespace bundle::kernels::cuda
