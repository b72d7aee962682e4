// Encodes, decodes and times documents for the tests that compare with the reference libraries.
//
//   tokenize_tool FILE [--hint MODEL] [--no-special] [--plain] < documents > ids
//   tokenize_tool FILE --decode [--skip-special] < ids > documents
//   tokenize_tool FILE --bench ROUNDS < documents
//
// A document or a row of 32-bit ids follows its length in bytes, a 32-bit number.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>

#include "runtime/tokenizer/tokenizer.h"

namespace {

using bundle::tokenizer::Detokenizer;
using bundle::tokenizer::EncodeOptions;
using bundle::tokenizer::Tokenizer;

struct Arguments {
  std::string file;
  std::string hint;
  EncodeOptions encode;
  bool decode = false;
  bool skip_special = false;
  int rounds = 0;
};

bool parse(int count, char** values, Arguments& arguments) {
  if (count < 2) return false;
  arguments.file = values[1];
  for (int i = 2; i < count; ++i) {
    const std::string_view flag = values[i];
    const bool more = i + 1 < count;
    if (flag == "--hint" && more) {
      arguments.hint = values[++i];
    } else if (flag == "--bench" && more) {
      arguments.rounds = std::atoi(values[++i]);
    } else if (flag == "--no-special") {
      arguments.encode.add_special = false;
    } else if (flag == "--plain") {
      arguments.encode.parse_special = false;
    } else if (flag == "--decode") {
      arguments.decode = true;
    } else if (flag == "--skip-special") {
      arguments.skip_special = true;
    } else {
      return false;
    }
  }
  return true;
}

std::vector<std::string> read_frames() {
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  std::vector<std::string> frames;
  for (std::size_t at = 0; input.size() - at >= 4;) {
    std::uint32_t length = 0;
    std::memcpy(&length, input.data() + at, 4);
    frames.push_back(input.substr(at + 4, length));
    at += 4 + frames.back().size();
  }
  return frames;
}

void write_frame(const void* data, std::size_t size) {
  const auto length = static_cast<std::uint32_t>(size);
  std::fwrite(&length, 4, 1, stdout);
  std::fwrite(data, 1, size, stdout);
}

// Token by token, so that every comparison is one of the stream too.
std::string decode(const std::shared_ptr<const Tokenizer>& tokenizer, const std::string& frame,
                   bool skip_special) {
  std::vector<std::int32_t> ids(frame.size() / 4);
  if (!ids.empty()) std::memcpy(ids.data(), frame.data(), ids.size() * 4);
  Detokenizer stream(tokenizer, skip_special);
  std::string text;
  for (const std::int32_t id : ids) text += stream.push(id);
  return text + stream.finish();
}

void bench(const Tokenizer& tokenizer, const std::vector<std::string>& frames, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    std::size_t bytes = 0;
    std::size_t tokens = 0;
    for (const std::string& frame : frames) {
      bytes += frame.size();
      tokens += tokenizer.encode(frame).size();
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("%.3f s, %.1f MB/s, %zu tokens\n", took.count(),
                static_cast<double>(bytes) / 1e6 / took.count(), tokens);
  }
}

}  // namespace

int main(int count, char** values) {
  Arguments arguments;
  if (!parse(count, values, arguments)) {
    std::fputs("usage: tokenize_tool FILE [--hint MODEL] [--no-special] [--plain]\n", stderr);
    return 2;
  }
  const auto start = std::chrono::steady_clock::now();
  auto loaded = bundle::tokenizer::load_tokenizer_file(arguments.file, arguments.hint);
  if (loaded.has_error()) {
    std::fprintf(stderr, "%s\n", loaded.error().message().c_str());
    return static_cast<int>(loaded.error().code);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const auto& tokenizer = *loaded;
  const std::vector<std::string> frames = read_frames();
  if (arguments.rounds > 0) {
    std::printf("load %.1f ms\n", took.count() * 1e3);
    bench(*tokenizer, frames, arguments.rounds);
    return 0;
  }
  for (const std::string& frame : frames) {
    if (arguments.decode) {
      const std::string text = decode(tokenizer, frame, arguments.skip_special);
      write_frame(text.data(), text.size());
    } else {
      const std::vector<std::int32_t> ids = tokenizer->encode(frame, arguments.encode);
      write_frame(ids.data(), ids.size() * 4);
    }
  }
  return 0;
}
