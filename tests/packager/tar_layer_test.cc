#include "packager/tar_layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>

#include "base/sha256.h"
#include "tests/golden/temp_folder.h"

namespace bundle::packager {
namespace {

std::string weight_layer(std::string_view path, std::string_view data) {
  return weight_header(path, data.size()) + std::string(data) + member_padding(data.size()) +
         layer_end();
}

std::string member(std::string_view path, std::string_view data, unsigned mode = kPlainMode) {
  return member_header(path, data.size(), mode) + std::string(data) + member_padding(data.size());
}

class TarLayer : public testing::Test {
 protected:
  golden::TempFolder folder_;
  Path file_ = folder_.path() / "layer";

  Result<std::vector<TarMember>> read(std::string_view layer) {
    std::ofstream(file_, std::ios::binary | std::ios::trunc) << layer;
    return read_layer(file_);
  }
};

struct Seen {
  std::string path;
  std::string data;
  std::int64_t size = 0;
  unsigned mode = 0;
  std::int64_t mtime = -1;
  std::int64_t uid = -1;
  bool is_regular = false;
};

/// What libarchive, which every archive tool of the BSDs and many of Linux use, makes of it.
std::vector<Seen> read_with_libarchive(const std::string& layer, bool with_data = true) {
  std::vector<Seen> members;
  const std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(),
                                                                      &archive_read_free);
  archive_read_support_format_tar(reader.get());
  EXPECT_EQ(archive_read_open_memory(reader.get(), layer.data(), layer.size()), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  int status = ARCHIVE_OK;
  while ((status = archive_read_next_header(reader.get(), &entry)) == ARCHIVE_OK) {
    Seen seen;
    seen.path = archive_entry_pathname(entry);
    seen.size = archive_entry_size(entry);
    seen.mode = archive_entry_perm(entry);
    seen.mtime = archive_entry_mtime(entry);
    seen.uid = archive_entry_uid(entry);
    seen.is_regular = archive_entry_filetype(entry) == AE_IFREG;
    if (!with_data) {
      members.push_back(seen);
      return members;
    }
    seen.data.resize(static_cast<std::size_t>(seen.size));
    EXPECT_EQ(archive_read_data(reader.get(), seen.data.data(), seen.data.size()), seen.size);
    members.push_back(seen);
  }
  EXPECT_EQ(status, ARCHIVE_EOF) << archive_error_string(reader.get());
  return members;
}

// The format is frozen. If one of these hashes changes, every bundle would be uploaded again.
TEST_F(TarLayer, IsFrozenByteByByte) {
  EXPECT_EQ(sha256_hex(weight_layer("models/model.gguf", "hello")),
            "004748a83ca270802865f67aed35f5c7a3715ccce1f487b128a7e333e0611908");
  EXPECT_EQ(sha256_hex(weight_header("models/big.gguf", 8'589'934'591)),
            "0993dfe9262f33f9ae8898a57e16e6a44956ef6bf1501337f7da9d1696f7f560");
  EXPECT_EQ(sha256_hex(weight_header("models/big.gguf", 8'589'934'592)),
            "edb7f7ab9a8e70d8e799904601b4c43d2b06aad517ed1b10df7d9c8ca88b065a");
  EXPECT_EQ(sha256_hex(weight_header("models/" + std::string(200, 'n'), 1)),
            "3417abc821768e4f0f37d7a3b9b8bb47cab39c99ca4827d049688e2ca12ce177");
  EXPECT_EQ(sha256_hex(weight_header("models/模型.gguf", 1)),
            "aecbcb8a63d6f3e54a3bde338a178ff72cb1657d0e6e5b13e2388b063179f0d6");
  EXPECT_EQ(sha256_hex(member("a", "x") + member("runtime/bin/b", "y", kProgramMode) + layer_end()),
            "479f57d5e642e61d1e6d0f790fea79ecb4242b61f2fc8fc421b79466a514bf20");
}

TEST_F(TarLayer, DataStartsAtTheAlignment) {
  for (const std::string& path : {std::string("models/m.gguf"), "models/" + std::string(255, 'n'),
                                  std::string("models/模型 α.safetensors")}) {
    for (const std::uint64_t size : {0ull, 1ull, 511ull, 512ull, 8'589'934'592ull}) {
      EXPECT_EQ(weight_header(path, size).size(), kWeightDataOffset) << path << size;
    }
  }
}

TEST_F(TarLayer, ReadsWhatItWrites) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{511}, std::size_t{512},
                                 std::size_t{513}, std::size_t{5000}}) {
    const auto members = read(weight_layer("models/m.gguf", std::string(size, 'x')));
    ASSERT_TRUE(members) << members.error().message();
    ASSERT_EQ(members->size(), 1u);
    EXPECT_EQ(members->front().path, "models/m.gguf");
    EXPECT_EQ(members->front().offset, kWeightDataOffset);
    EXPECT_EQ(members->front().size, size);
    EXPECT_EQ(std::filesystem::file_size(file_), weight_layer_size(size));
  }
}

TEST_F(TarLayer, LibarchiveReadsAWeightLayer) {
  for (const std::string& path :
       {std::string("models/m.gguf"), "models/" + std::string(200, 'n')}) {
    const auto seen = read_with_libarchive(weight_layer(path, "hello"));
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].path, path);
    EXPECT_EQ(seen[0].data, "hello");
    EXPECT_EQ(seen[0].mode, 0644u);
    EXPECT_EQ(seen[0].mtime, 0);
    EXPECT_EQ(seen[0].uid, 0);
    EXPECT_TRUE(seen[0].is_regular);
  }
}

TEST_F(TarLayer, LibarchiveReadsSizesOver8GiB) {
  for (const std::uint64_t size : {8'589'934'591ull, 8'589'934'592ull, 700'000'000'000ull}) {
    const auto seen = read_with_libarchive(weight_header("models/m.gguf", size), false);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(static_cast<std::uint64_t>(seen[0].size), size);
  }
}

TEST_F(TarLayer, ReadsASparseFileOver8GiB) {
  const std::uint64_t size = 9'000'000'001;
  std::ofstream(file_, std::ios::binary) << weight_header("models/m.gguf", size);
  std::filesystem::resize_file(file_, weight_layer_size(size));
  const auto members = read_layer(file_);
  ASSERT_TRUE(members) << members.error().message();
  EXPECT_EQ(members->front().size, size);
}

TEST_F(TarLayer, LibarchiveReadsManyMembers) {
  const std::string layer = member("a/b", "one") + member("runtime/bin/x", "two", kProgramMode) +
                            member("models/" + std::string(150, 'z'), "") + layer_end();
  const auto seen = read_with_libarchive(layer);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[1].data, "two");
  EXPECT_EQ(seen[1].mode, 0755u);
  const auto members = read(layer);
  ASSERT_TRUE(members) << members.error().message();
  EXPECT_EQ((*members)[1].mode, kProgramMode);
  EXPECT_EQ((*members)[2].path.size(), 157u);
}

// --- hostile layers -------------------------------------------------------------------------

TEST_F(TarLayer, RefusesEveryTruncation) {
  const std::string layer = weight_layer("models/m.gguf", "hello");
  for (std::size_t size = 0; size < layer.size(); size += size % 512 == 511 ? 1 : 73) {
    EXPECT_TRUE(read(std::string_view(layer).substr(0, size)).has_error()) << size;
  }
}

TEST_F(TarLayer, RefusesEveryFlippedBitOfAHeader) {
  const std::string layer = weight_layer("models/m.gguf", "hello");
  const auto good = read(layer);
  int accepted = 0;
  for (std::size_t at = 0; at < kWeightDataOffset; at += at >= 600 && at < 3500 ? 97 : 1) {
    std::string changed = layer;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    const auto members = read(changed);
    // A comment may say anything: nothing depends on it.
    const bool in_comment = at >= 520 && at < 3584;
    if (!members.has_error() && !in_comment) ++accepted;
  }
  EXPECT_EQ(accepted, 0);
}

TEST_F(TarLayer, RefusesWhatFollowsTheEnd) {
  const std::string layer = weight_layer("models/m.gguf", "hello");
  EXPECT_TRUE(read(layer + std::string(512, '\0')).has_error());
  EXPECT_TRUE(read(layer + "x").has_error());
  EXPECT_TRUE(read(layer + layer).has_error());
}

TEST_F(TarLayer, RefusesPathsThatLeadOut) {
  for (const char* path : {"../x", "a/../../x", "/abs", "a//b", "./a", "a/", "a/.", "-x", "a/-x",
                           "a\\b", "a\nb", "", "a\xff"}) {
    EXPECT_NE(member_path_fault(path), "") << path;
    EXPECT_TRUE(read(member(path, "x") + layer_end()).has_error()) << path;
  }
  EXPECT_NE(member_path_fault(std::string(600, 'a')), "");
  EXPECT_EQ(member_path_fault("models/model-00001-of-00002.safetensors"), "");
}

TEST_F(TarLayer, RefusesAPathTwice) {
  EXPECT_TRUE(read(member("a", "x") + member("a", "y") + layer_end()).has_error());
}

/// Another type, with a checksum that fits.
std::string with_type(std::string layer, char type) {
  layer[156] = type;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < 512; ++i) {
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(layer[i]);
  }
  char text[8];
  std::snprintf(text, sizeof text, "%06o", static_cast<unsigned>(sum));
  layer.replace(148, 7, text, 7);
  return layer;
}

TEST_F(TarLayer, RefusesEverythingButRegularFiles) {
  for (const char type : std::string("1234567gxLKSV", 13)) {
    EXPECT_TRUE(read(with_type(member("a", "data"), type) + layer_end()).has_error()) << type;
  }
  EXPECT_TRUE(read(with_type(member("a", "data"), '0') + layer_end()));
}

TEST_F(TarLayer, RefusesForeignPaxRecords) {
  const auto with_records = [](const std::string& records) {
    std::string pax = member("pax", records);
    return with_type(pax, 'x') + member("a", "data") + layer_end();
  };
  EXPECT_TRUE(read(with_records("11 path=ab\n")).has_error());  // the header says "a"
  EXPECT_TRUE(read(with_records("10 path=a\n")));
  for (const char* records :
       {"17 linkpath=/etc\n", "12 size=9999\n", "16 GNU.sparse=1\n", "99 path=a\n", "x path=a\n",
        "10 path=a", "10 path=a\n10 path=a\n", "0 \n", "20 SCHILY.xattr.a=b\n", "11 uid=100\n",
        "13 path=../a\n", " \n", "99999999999999999999 a=b\n"}) {
    EXPECT_TRUE(read(with_records(records)).has_error()) << records;
  }
}

TEST_F(TarLayer, RefusesOtherFiles) {
  EXPECT_EQ(read_layer(folder_.path() / "none").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(read_layer(folder_.path()).has_error());
  EXPECT_TRUE(read("PK\x03\x04 not a tar").has_error());
  EXPECT_TRUE(read(std::string(1024, '\0'))->empty());
}

}  // namespace
}  // namespace bundle::packager
