#include "runtime/server/request_reader.h"

#include <gtest/gtest.h>
#include <random>

namespace bundle::server {
namespace {

using State = RequestReader::State;

/// Reads one request from `bytes`, which come `step` at a time.
struct Reading {
  State state;
  HttpRequest request;
  ApiError error;
  std::size_t left;  // bytes that belong to the next request
};

Reading read(std::string_view bytes, std::size_t step = 1 << 20, ServerLimits limits = {}) {
  RequestReader reader(limits);
  std::string buffer;
  while (!bytes.empty() || !buffer.empty()) {
    const std::size_t n = std::min(step, bytes.size());
    buffer += bytes.substr(0, n);
    bytes.remove_prefix(n);
    const std::size_t used = reader.feed(buffer);
    buffer.erase(0, used);
    const bool over = reader.state() == State::kDone || reader.state() == State::kFailed;
    if (over || (used == 0 && bytes.empty())) break;
  }
  Reading out{reader.state(), {}, {}, buffer.size() + bytes.size()};
  if (out.state == State::kDone) out.request = reader.take();
  if (out.state == State::kFailed) out.error = reader.error();
  return out;
}

TEST(RequestReader, ReadsHeadAndBodyInAnyPieces) {
  const std::string bytes =
      "POST /v1/x?a=b HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\nX-Thing:  a b "
      "\r\n\r\nhelloGET";
  for (const std::size_t step : {1, 2, 3, 7, 1000}) {
    const Reading got = read(bytes, step);
    ASSERT_EQ(got.state, State::kDone) << step << ' ' << got.error.message;
    EXPECT_EQ(got.request.method, "POST");
    EXPECT_EQ(got.request.path, "/v1/x");
    EXPECT_EQ(got.request.query, "a=b");
    EXPECT_EQ(got.request.field("x-thing"), "a b");
    EXPECT_EQ(got.request.body, "hello");
    EXPECT_EQ(got.left, 3u);
    EXPECT_TRUE(got.request.keep_alive);
  }
}

TEST(RequestReader, JoinsChunks) {
  const std::string bytes =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "4;ext=1\r\nwiki\r\n5\r\npedia\r\n0\r\nTrailer: x\r\n\r\nGET";
  for (const std::size_t step : {1, 5, 1000}) {
    const Reading got = read(bytes, step);
    ASSERT_EQ(got.state, State::kDone) << step << ' ' << got.error.message;
    EXPECT_EQ(got.request.body, "wikipedia");
    EXPECT_EQ(got.request.field("trailer"), "");
    EXPECT_EQ(got.left, 3u);
  }
}

/// Messages that two readers could understand in two ways, or that are none: refused, and nothing
/// after them is read as a request.
struct Hostile {
  const char* name;
  const char* bytes;
  int status;
};

const Hostile kHostile[] = {
    {"both lengths",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n",
     400},
    {"both lengths, other order",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: "
     "3\r\n\r\n0\r\n\r\n",
     400},
    {"two equal lengths",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
    {"two lengths",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400},
    {"a list of lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc", 400},
    {"a signed length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", 400},
    {"a negative length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\nabc", 400},
    {"a hexadecimal length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc", 400},
    {"an empty length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\nabc", 400},
    {"a length over 64 bits",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551619\r\n\r\nabc", 400},
    {"xchunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
    {"chunked, identity",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501},
    {"gzip, chunked",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
    {"two encodings",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n",
     400},
    {"an empty encoding", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n", 501},
    {"an encoding in HTTP/1.0",
     "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"a vertical tab in an encoding",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", 400},
    {"a blank before the colon", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc",
     400},
    {"a folded field", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400},
    {"a folded first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400},
    {"no colon", "GET / HTTP/1.1\r\nHost: h\r\nnothing\r\n\r\n", 400},
    {"an empty name", "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400},
    {"a bracket in a name", "GET / HTTP/1.1\r\nHost: h\r\nX[1]: x\r\n\r\n", 400},
    {"a bare line feed", "GET / HTTP/1.1\nHost: h\n\n", 400},
    {"a bare line feed in a field", "GET / HTTP/1.1\r\nHost: h\r\nX: a\nY: b\r\n\r\n", 400},
    {"a bare return", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rY: b\r\n\r\n", 400},
    {"a control character", "GET / HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n", 400},
    {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
    {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
    {"two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400},
    {"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
    {"a list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
    {"a path in the Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"a user in the Host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
    {"another host in the target", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"a fragment", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"a raw byte in the target", "GET /\x80 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"a bad escape", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"a cut escape", "GET /%4 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"an escaped NUL", "GET /a%00b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"no path", "GET v1/models HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"a star", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"an authority", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"two blanks", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"a tab", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"a blank after the version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
    {"a blank first", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"a bad method", "G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"HTTP/0.9", "GET /\r\n\r\n", 400},
    {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505},
    {"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"a small http", "GET / http/1.1\r\nHost: h\r\n\r\n", 400},
    {"a long version", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", 400},
    {"an unknown expectation",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: luck\r\n\r\nx", 417},
    {"a bad chunk size", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
     400},
    {"a negative chunk size",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
    {"a huge chunk size",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400},
    {"a chunk over the limit",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", 413},
    {"a chunk longer than its size",
     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", 400},
    {"TLS", "\x16\x03\x01\x02", 400},
};

TEST(RequestReader, RefusesWhatCouldBeReadInTwoWays) {
  for (const Hostile& hostile : kHostile) {
    for (const std::size_t step : {1, 1 << 20}) {
      const Reading got = read(hostile.bytes, step);
      EXPECT_EQ(got.state, State::kFailed) << hostile.name;
      EXPECT_EQ(got.error.status, hostile.status) << hostile.name << ": " << got.error.message;
      EXPECT_TRUE(got.error.close) << hostile.name;
    }
  }
}

TEST(RequestReader, RefusesANulByte) {
  const std::string bytes("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 28);
  EXPECT_EQ(read(bytes).error.status, 400);
}

TEST(RequestReader, AcceptsWhatIsUnusualAndPlain) {
  const char* const plain[] = {
      "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
      "GET http://h/a HTTP/1.1\r\nHost: H\r\n\r\n",
      "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
      "GET / HTTP/1.1\r\nHost:h\r\nX: \xc3\xa9\tb\r\nEmpty:\r\n\r\n",
      "GET /a%2Fb?x=%20&y HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 000\r\n\r\n",
  };
  for (const char* bytes : plain) {
    const Reading got = read(bytes);
    EXPECT_EQ(got.state, State::kDone) << bytes << got.error.message;
    EXPECT_EQ(got.left, 0u) << bytes;
  }
  EXPECT_EQ(read("GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n").request.path, "/a");
  EXPECT_EQ(read("GET http://h?b HTTP/1.1\r\nHost: h\r\n\r\n").request.path, "/");
}

TEST(RequestReader, KnowsWhenTheConnectionGoesOn) {
  const auto keeps = [](const char* bytes) { return read(bytes).request.keep_alive; };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"));
}

TEST(RequestReader, HoldsItsLimits) {
  ServerLimits limits;
  limits.header_bytes = 200;
  limits.body_bytes = 10;
  const std::string start = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
  EXPECT_EQ(read(start + std::string(100, 'a') + "\r\n\r\n", 1, limits).state, State::kDone);
  EXPECT_EQ(read(start + std::string(300, 'a') + "\r\n\r\n", 1, limits).error.status, 431);
  EXPECT_EQ(read("GET /" + std::string(300, 'a'), 1, limits).error.status, 414);
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 100; ++i) many += "a:b\r\n";
  EXPECT_EQ(read(many + "\r\n").error.status, 431);
  const auto with_body = [&](std::size_t n) {
    return read("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(n) + "\r\n\r\n" +
                    std::string(n, 'x'),
                1 << 20, limits);
  };
  EXPECT_EQ(with_body(10).request.body, "xxxxxxxxxx");
  EXPECT_EQ(with_body(11).error.status, 413);
  const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(read(chunked + "6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n", 1, limits).error.status, 413);
}

TEST(RequestReader, RefusesBodiesThatAreMostlyFraming) {
  ServerLimits limits;
  limits.body_bytes = 1000;
  const std::string chunked = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string extension = "1;" + std::string(200'000, 'x') + "\r\na\r\n0\r\n\r\n";
  EXPECT_EQ(read(chunked + extension, 1000, limits).state, State::kFailed);
}

/// Damaged messages are read the same way however their bytes arrive, and never past their end.
TEST(RequestReader, DamageIsReadTheSameInAnyPieces) {
  const std::string originals[] = {
      "POST /v1/x?a=%20b HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\nX: a b\r\n\r\nhelloGET",
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
      "chunked\r\n\r\n4;e=1\r\nwiki\r\n0\r\n\r\nGET",
      "GET http://h/a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"};
  const std::string alphabet("\r\n\0 :;,%/0a\t\x80", 14);
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = originals[random() % 3];
    for (std::size_t hits = 1 + random() % 3; hits > 0; --hits) {
      const std::size_t at = random() % bytes.size();
      const char c = alphabet[random() % alphabet.size()];
      const unsigned how = random() % 3;
      if (how == 0) bytes[at] = c;
      if (how == 1) bytes.insert(at, 1, c);
      if (how == 2) bytes.erase(at, 1);
    }
    const Reading whole = read(bytes);
    const Reading pieces = read(bytes, 1);
    ASSERT_EQ(whole.state, pieces.state) << bytes;
    ASSERT_EQ(whole.request.body, pieces.request.body) << bytes;
    if (whole.state == State::kDone) {
      ASSERT_EQ(whole.left, pieces.left) << bytes;
    }
  }
}

}  // namespace
}  // namespace bundle::server
