#include "base/file.h"

#include <array>
#include <chrono>
#include <cstdlib>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace bundle {
namespace {

class FileTest : public testing::Test {
 protected:
  Path folder_ = testing::TempDir() + "bundle_file_test";
  void SetUp() override { ASSERT_TRUE(make_directories(folder_)); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
};

TEST_F(FileTest, WritesAtomicallyAndReadsBack) {
  const Path path = folder_ / "a.txt";
  ASSERT_TRUE(write_file_atomic(path, "one"));
  ASSERT_TRUE(write_file_atomic(path, "two"));
  EXPECT_EQ(*read_file(path), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(FileTest, MapsARangeThatIsNotPageAligned) {
  const Path path = folder_ / "map";
  ASSERT_TRUE(write_file_atomic(path, std::string(5000, 'a') + "hello"));
  const auto map = MappedFile::open(path, 5000, 5);
  ASSERT_TRUE(map);
  EXPECT_EQ(as_text(map->bytes()), "hello");
}

TEST_F(FileTest, RefusesARangeBeyondTheFile) {
  const Path path = folder_ / "short";
  ASSERT_TRUE(write_file_atomic(path, "12345"));
  EXPECT_EQ(MappedFile::open(path, 4, 2).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(MappedFile::open(path, 6, 0).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(MappedFile::open(folder_ / "none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(MappedFile::open(folder_).error().code, ErrorCode::kBadInput);
}

TEST_F(FileTest, ReadStopsAtTheCap) {
  const Path path = folder_ / "big";
  ASSERT_TRUE(write_file_atomic(path, std::string(1000, 'x')));
  EXPECT_TRUE(read_file(path, 999).has_error());
  EXPECT_TRUE(read_file(path, 1000));
}

TEST_F(FileTest, ANamedPipeThatNobodyWritesToDoesNotHang) {
  const Path path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(*read_file(path), "");
  EXPECT_EQ(MappedFile::open(path).error().code, ErrorCode::kBadInput);
}

TEST_F(FileTest, APipeThatIsStillWrittenToIsReadToItsEnd) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const std::string text(200'000, 'x');  // more than a pipe holds
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t n = ::write(ends[1], text.data() + at, text.size() - at);
      if (n <= 0) break;
      at += static_cast<std::size_t>(n);
    }
    ::close(ends[1]);
  });
  const auto read = read_file("/proc/self/fd/" + std::to_string(ends[0]));
  writer.join();
  ::close(ends[0]);
  EXPECT_EQ(*read, text);
}

TEST(BundleHome, PrefersItsOwnVariable) {
  ::setenv("BUNDLE_HOME", "/x", 1);
  EXPECT_EQ(bundle_home(), Path("/x"));
  ::unsetenv("BUNDLE_HOME");
  ::setenv("XDG_DATA_HOME", "/y", 1);
  EXPECT_EQ(bundle_home(), Path("/y/bundle"));
  ::unsetenv("XDG_DATA_HOME");
}

}  // namespace
}  // namespace bundle
