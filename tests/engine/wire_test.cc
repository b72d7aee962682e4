#include "runtime/engine/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

#include "tests/engine/fake_model.h"

namespace bundle::engine::wire {
namespace {

using testing::HasSubstr;

Frame only_frame(const std::string& bytes) {
  FrameReader reader;
  EXPECT_TRUE(reader.feed(as_bytes(bytes)));
  auto frames = reader.take();
  EXPECT_EQ(frames.size(), 1u);
  return frames.empty() ? Frame{} : std::move(frames.front());
}

Request full_request() {
  Request r;
  r.id = 0x1122334455667788;
  r.prompt = {1, 2, 3, 1 << 20};
  r.cache_salt = ~0ull;
  r.priority = -3;
  r.turn = 1ull << 40;
  r.preview = true;
  r.resumed = 2;
  r.pooling = Pooling::kMean;
  SamplingParams& p = r.sampling;
  p.temperature = 0.7;
  p.top_k = 40;
  p.top_p = 0.9;
  p.min_p = 0.05;
  p.repetition_penalty = 1.1;
  p.frequency_penalty = -0.5;
  p.presence_penalty = 0.25;
  p.logit_bias = {{5, -100.0f}, {6, 1.5f}};
  p.seed = 0;
  p.max_tokens = 77;
  p.min_tokens = 3;
  p.ignore_eos = true;
  p.stop_ids = {9, 10};
  p.logprobs = 5;
  p.prompt_logprobs = 0;
  return r;
}

Event full_event() {
  Event e;
  e.id = 42;
  e.tokens = {7, 8};
  e.logprobs = {{{7, -0.5f, 1}, {{7, -0.5f, 1}, {3, -1.5f, 2}}}, {{8, -2.0f, 4}, {}}};
  e.prompt_logprobs = {{{1, -9.0f, 100}, {}}};
  e.cached_tokens = 16;
  e.queued_seconds = 0.25f;
  e.finish = FinishReason::kStop;
  e.stop_token = 2;
  e.embedding = {0.5f, -1.25f, 3.0f};
  e.error = std::string("an error with \n and ") + '\0' + " in it";
  return e;
}

TEST(Wire, ARequestComesThroughWhole) {
  const Request sent = full_request();
  const Frame frame = only_frame(encode_submit(sent));
  EXPECT_EQ(frame.kind, Kind::kSubmit);
  const Request got = *decode_submit(as_bytes(frame.body));
  EXPECT_EQ(got.id, sent.id);
  EXPECT_EQ(got.prompt, sent.prompt);
  EXPECT_EQ(got.cache_salt, sent.cache_salt);
  EXPECT_EQ(got.priority, sent.priority);
  EXPECT_EQ(got.turn, sent.turn);
  EXPECT_EQ(got.preview, sent.preview);
  EXPECT_EQ(got.resumed, sent.resumed);
  EXPECT_EQ(got.pooling, sent.pooling);
  const SamplingParams& a = sent.sampling;
  const SamplingParams& b = got.sampling;
  EXPECT_EQ(a.temperature, b.temperature);
  EXPECT_EQ(a.top_k, b.top_k);
  EXPECT_EQ(a.top_p, b.top_p);
  EXPECT_EQ(a.min_p, b.min_p);
  EXPECT_EQ(a.repetition_penalty, b.repetition_penalty);
  EXPECT_EQ(a.frequency_penalty, b.frequency_penalty);
  EXPECT_EQ(a.presence_penalty, b.presence_penalty);
  EXPECT_EQ(a.logit_bias, b.logit_bias);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.max_tokens, b.max_tokens);
  EXPECT_EQ(a.min_tokens, b.min_tokens);
  EXPECT_EQ(a.ignore_eos, b.ignore_eos);
  EXPECT_EQ(a.stop_ids, b.stop_ids);
  EXPECT_EQ(a.logprobs, b.logprobs);
  EXPECT_EQ(a.prompt_logprobs, b.prompt_logprobs);
}

TEST(Wire, NoSeedIsNotSeedZero) {
  Request sent = full_request();
  sent.sampling.seed.reset();
  const Request got = *decode_submit(as_bytes(only_frame(encode_submit(sent)).body));
  EXPECT_FALSE(got.sampling.seed);
}

TEST(Wire, AnEventComesThroughWhole) {
  const Event sent = full_event();
  const Frame frame = only_frame(encode_event(sent));
  EXPECT_EQ(frame.kind, Kind::kEvent);
  const Event got = *decode_event(as_bytes(frame.body));
  EXPECT_EQ(got.id, sent.id);
  EXPECT_EQ(got.tokens, sent.tokens);
  EXPECT_TRUE(got.logprobs == sent.logprobs);
  EXPECT_TRUE(got.prompt_logprobs == sent.prompt_logprobs);
  EXPECT_EQ(got.cached_tokens, sent.cached_tokens);
  EXPECT_EQ(got.queued_seconds, sent.queued_seconds);
  EXPECT_EQ(got.finish, sent.finish);
  EXPECT_EQ(got.stop_token, sent.stop_token);
  EXPECT_EQ(got.error, sent.error);
  EXPECT_EQ(got.embedding, sent.embedding);
}

TEST(Wire, SmallMessagesComeThrough) {
  EXPECT_EQ(*decode_abort(as_bytes(only_frame(encode_abort(9)).body)), 9u);
  EXPECT_EQ(only_frame(encode_stop()).kind, Kind::kStop);
  EXPECT_EQ(only_frame(encode_ready()).kind, Kind::kReady);
  const LoadProgress p =
      *decode_progress(as_bytes(only_frame(encode_progress({"loading weights", 5, 10})).body));
  EXPECT_EQ(p.stage, "loading weights");
  EXPECT_EQ(p.done, 5u);
  EXPECT_EQ(p.total, 10u);
  const Error e = decode_failure(
      as_bytes(only_frame(encode_failure({ErrorCode::kBadInput, "what", "where", "remedy"})).body));
  EXPECT_EQ(e.code, ErrorCode::kBadInput);
  EXPECT_EQ(e.message(), Error({ErrorCode::kBadInput, "what", "where", "remedy"}).message());
}

TEST(Wire, FramesAreCutOutOfAnyPieces) {
  std::string stream;
  for (int i = 0; i < 50; ++i) {
    stream += encode_submit(full_request()) + encode_stop() + encode_event(full_event());
  }
  std::mt19937 random(5);
  FrameReader reader;
  std::vector<Frame> frames;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t n = std::min<std::size_t>(random() % 100, stream.size() - at);
    ASSERT_TRUE(reader.feed(as_bytes(std::string_view(stream).substr(at, n))));
    for (Frame& frame : reader.take()) frames.push_back(std::move(frame));
    at += n;
  }
  ASSERT_EQ(frames.size(), 150u);
  EXPECT_TRUE(decode_submit(as_bytes(frames[147].body)));
  EXPECT_EQ(frames[148].kind, Kind::kStop);
  EXPECT_TRUE(decode_event(as_bytes(frames[149].body)));
}

TEST(Wire, FramesOfOthersAreRefused) {
  const auto with = [](std::size_t at, char value) {
    std::string bytes = encode_abort(1);
    bytes[at] = value;
    FrameReader reader;
    const Status status = reader.feed(as_bytes(bytes));
    return status ? std::string() : status.error().message();
  };
  EXPECT_THAT(with(0, 'X'), HasSubstr("does not start"));
  EXPECT_THAT(with(4, 99), HasSubstr("version 99"));
  EXPECT_THAT(with(12, 1), HasSubstr("too long"));
}

TEST(Wire, EveryPrefixOfABodyIsRefused) {
  const std::string submit = only_frame(encode_submit(full_request())).body;
  for (std::size_t n = 0; n < submit.size(); ++n) {
    EXPECT_FALSE(decode_submit(as_bytes(std::string_view(submit).substr(0, n)))) << n;
  }
  EXPECT_FALSE(decode_submit(as_bytes(submit + "x")));
  const std::string event = only_frame(encode_event(full_event())).body;
  for (std::size_t n = 0; n < event.size(); ++n) {
    EXPECT_FALSE(decode_event(as_bytes(std::string_view(event).substr(0, n)))) << n;
  }
  EXPECT_FALSE(decode_event(as_bytes(event + "x")));
}

TEST(Wire, AnUnknownFinishReasonIsRefused) {
  std::string event = only_frame(encode_event(full_event())).body;
  event[16] = static_cast<char>(FinishReason::kDeadline);  // which no engine sends
  EXPECT_THAT(decode_event(as_bytes(event)).error().what, HasSubstr("finish reason"));
}

/// Random bytes and random changes: a decoder answers, and takes no memory that is not there.
TEST(Wire, DecodersSurviveAnyBytes) {
  std::mt19937 random(17);
  const std::string seeds[] = {only_frame(encode_submit(full_request())).body,
                               only_frame(encode_event(full_event())).body,
                               only_frame(encode_failure({ErrorCode::kFailed, "a", "b"})).body};
  for (int round = 0; round < 50000; ++round) {
    std::string body = seeds[random() % 3];
    for (auto n = 1 + random() % 8; n > 0; --n) {
      body[random() % body.size()] = static_cast<char>(random() % 3 ? 0xFF : random());
    }
    if (random() % 4 == 0) body.resize(random() % body.size());
    (void)decode_submit(as_bytes(body));
    (void)decode_event(as_bytes(body));
    (void)decode_failure(as_bytes(body));
    (void)decode_progress(as_bytes(body));
    (void)decode_abort(as_bytes(body));
    FrameReader reader;
    (void)reader.feed(as_bytes(body));
  }
}

}  // namespace
}  // namespace bundle::engine::wire
