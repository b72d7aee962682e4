#include "runtime/gateway/picker/exchange.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace bundle::gateway::picker {
namespace {

using ext_proc::ProcessingRequest;
using ext_proc::ProcessingResponse;

constexpr char kEndpoint[] = "x-gateway-destination-endpoint";

Pool ready_pool(int replicas) {
  Pool pool;
  std::vector<Backend> list;
  for (int i = 0; i < replicas; ++i) {
    list.push_back(parse_backend("replica" + std::to_string(i) + ":8000").value());
  }
  pool.update(list);
  int i = 0;
  for (Backend* one : pool.all()) {
    one->ready = true;
    one->address = "10.0.0." + std::to_string(i++) + ":8000";
  }
  return pool;
}

ProcessingRequest headers(bool end, ext_proc::BodySendMode mode = ext_proc::FULL_DUPLEX_STREAMED) {
  ProcessingRequest message;
  message.mutable_request_headers()->set_end_of_stream(end);
  message.mutable_protocol_config()->set_request_body_mode(mode);
  message.mutable_protocol_config()->set_response_body_mode(ext_proc::FULL_DUPLEX_STREAMED);
  return message;
}

ProcessingRequest body(const std::string& text, bool end) {
  ProcessingRequest message;
  message.mutable_request_body()->set_body(text);
  message.mutable_request_body()->set_end_of_stream(end);
  return message;
}

/// The endpoints of an answer, "" when it has none; header and metadata must say the same.
std::string endpoints_of(const ext_proc::CommonResponse& response,
                         const ProcessingResponse& answer) {
  std::string in_header;
  for (const auto& option : response.header_mutation().set_headers()) {
    if (option.header().key() == kEndpoint) in_header = option.header().raw_value();
  }
  std::string in_metadata;
  const auto& spaces = answer.dynamic_metadata().fields();
  if (const auto space = spaces.find("envoy.lb"); space != spaces.end()) {
    in_metadata = space->second.struct_value().fields().at(kEndpoint).string_value();
  }
  EXPECT_EQ(in_header, in_metadata);
  return in_header;
}

std::string endpoints_of(const ProcessingResponse& answer) {
  return endpoints_of(answer.request_headers().response(), answer);
}

struct Streamed {
  std::string text;
  int pieces = 0;
  int ends = 0;
  std::size_t longest = 0;
};

Streamed streamed(const Exchange::Answers& answers) {
  Streamed all;
  for (const auto& answer : answers) {
    if (!answer.has_request_body()) continue;
    const auto& piece = answer.request_body().response().body_mutation().streamed_response();
    EXPECT_EQ(all.ends, 0) << "a piece behind the end";
    all.text += piece.body();
    all.longest = std::max(all.longest, piece.body().size());
    all.ends += piece.end_of_stream() ? 1 : 0;
    ++all.pieces;
  }
  return all;
}

/// A pool with a room, and what runs there.
struct Place {
  explicit Place(int replicas, std::size_t places = 4)
      : pool(ready_pool(replicas)), room(places, [this] { ++woken; }) {}
  std::int64_t in_flight() {
    std::int64_t all = 0;
    for (const Backend* one : pool.all()) all += one->in_flight;
    return all;
  }
  Pool pool;
  int woken = 0;
  WaitingRoom room;
};

TEST(Exchange, ARequestWithoutABodyIsPickedAtOnce) {
  Place place(2);
  Exchange exchange(place.pool, place.room, {});
  const auto answers = exchange.take(headers(true));
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(endpoints_of(answers[0]).starts_with("10.0.0."));
  EXPECT_TRUE(answers[0].request_headers().response().clear_route_cache());
  EXPECT_EQ(place.in_flight(), 1);
}

TEST(Exchange, TheBodyDecidesAndIsHandedBackWhole) {
  Place place(3);
  const std::string text = R"({"model":"m","messages":[{"role":"system","content":")" +
                           std::string(200'000, 'x') + R"("}]})";
  Exchange exchange(place.pool, place.room, {});
  EXPECT_TRUE(exchange.take(headers(false)).empty());
  EXPECT_TRUE(exchange.take(body(text.substr(0, 500), false)).empty()) << "too little to know";
  auto answers = exchange.take(body(text.substr(500, 100'000), false));
  ASSERT_GE(answers.size(), 2u);
  EXPECT_NE(endpoints_of(answers[0]), "");
  const auto rest = exchange.take(body(text.substr(100'500), true));
  answers.insert(answers.end(), rest.begin(), rest.end());
  const Streamed passed = streamed(answers);
  EXPECT_EQ(passed.text, text);
  EXPECT_EQ(passed.ends, 1);
  EXPECT_LE(passed.longest, 62'000u);
}

TEST(Exchange, AnEmptyBodyHasAnEndToo) {
  Place place(1);
  Exchange exchange(place.pool, place.room, {});
  exchange.take(headers(false));
  const Streamed passed = streamed(exchange.take(body("", true)));
  EXPECT_EQ(passed.pieces, 1);
  EXPECT_EQ(passed.ends, 1);
}

TEST(Exchange, EqualBeginningsMeetOneReplicaHoweverTheyAreCut) {
  Place place(4);
  const std::string text = R"({"messages":[{"role":"system","content":")" + std::string(3000, 'y') +
                           R"("},{"content":"1"}]})";
  std::set<std::string> met;
  for (const std::size_t cut : {1u, 10u, 1035u, 1036u, 2000u, 3000u}) {
    Exchange exchange(place.pool, place.room, {});
    exchange.take(headers(false));
    auto answers = exchange.take(body(text.substr(0, cut), false));
    const auto more = exchange.take(body(text.substr(cut), true));
    answers.insert(answers.end(), more.begin(), more.end());
    met.insert(endpoints_of(answers.at(0)));
    EXPECT_EQ(streamed(answers).text, text);
  }
  EXPECT_EQ(met.size(), 1u);
  EXPECT_EQ(place.in_flight(), 0);
}

TEST(Exchange, TrailersComeLast) {
  Place place(1);
  Exchange exchange(place.pool, place.room, {});
  exchange.take(headers(false));
  exchange.take(body("{}", false));
  ProcessingRequest trailers;
  trailers.mutable_request_trailers();
  const auto answers = exchange.take(trailers);
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_TRUE(answers[0].has_request_headers());
  EXPECT_FALSE(
      answers[1].request_body().response().body_mutation().streamed_response().end_of_stream());
  EXPECT_TRUE(answers[2].has_request_trailers());
}

TEST(Exchange, ABufferedBodyIsAnsweredWithTheEndpoint) {
  Place place(2);
  Exchange exchange(place.pool, place.room, {});
  const auto first = exchange.take(headers(false, ext_proc::BUFFERED));
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(endpoints_of(first[0]), "");
  const auto second = exchange.take(body(R"({"prompt":"x"})", true));
  ASSERT_EQ(second.size(), 1u);
  EXPECT_NE(endpoints_of(second[0].request_body().response(), second[0]), "");
  EXPECT_FALSE(second[0].request_body().response().has_body_mutation());
}

TEST(Exchange, OtherModesArePickedByTheHeaders) {
  Place place(2);
  for (const auto mode : {ext_proc::NONE, ext_proc::STREAMED}) {
    Exchange exchange(place.pool, place.room, {});
    EXPECT_NE(endpoints_of(exchange.take(headers(false, mode)).at(0)), "");
    EXPECT_EQ(exchange.take(body("abc", true)).size(), 1u);
  }
}

TEST(Exchange, NamesSeveralWhenAsked) {
  Place place(4);
  place.pool.all()[2]->ready = false;
  Exchange exchange(place.pool, place.room, {.endpoints = 3});
  const std::string names = endpoints_of(exchange.take(headers(true)).at(0));
  EXPECT_EQ(std::count(names.begin(), names.end(), ','), 2) << names;
  EXPECT_EQ(names.find("10.0.0.2:"), std::string::npos) << names;
}

ProcessingRequest with_subset(const std::vector<std::string>& list) {
  ProcessingRequest message = headers(true);
  auto& value =
      (*(*message.mutable_metadata_context()->mutable_filter_metadata())["envoy.lb.subset_hint"]
            .mutable_fields())["x-gateway-destination-endpoint-subset"];
  value.mutable_list_value();
  for (const std::string& one : list) {
    value.mutable_list_value()->add_values()->set_string_value(one);
  }
  return message;
}

TEST(Exchange, KeepsToTheSubset) {
  Place place(4);
  for (int i = 0; i < 8; ++i) {
    Exchange exchange(place.pool, place.room, {.endpoints = 4});
    const std::string names =
        endpoints_of(exchange.take(with_subset({"10.0.0.1:8000", " 10.0.0.3:8000"})).at(0));
    EXPECT_EQ(names.size(), std::string("10.0.0.1:8000,10.0.0.3:8000").size()) << names;
    EXPECT_EQ(names.find("10.0.0.0"), std::string::npos) << names;
  }
}

TEST(Exchange, ASubsetOfNobodyIs503) {
  Place place(2);
  for (const auto& list : {std::vector<std::string>{}, {"10.9.9.9:1"}}) {
    Exchange exchange(place.pool, place.room, {});
    const auto answers = exchange.take(with_subset(list));
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].immediate_response().status().code(), 503);
    EXPECT_FALSE(exchange.waits());
    EXPECT_TRUE(exchange.take(body("x", true)).empty());
  }
}

TEST(Exchange, WaitsForAReplica) {
  Place place(1);
  Backend& replica = *place.pool.all()[0];
  replica.ready = false;
  Exchange exchange(place.pool, place.room, {});
  exchange.take(headers(false));
  EXPECT_TRUE(exchange.take(body(R"({"messages":[]})", true)).empty());
  EXPECT_TRUE(exchange.waits());
  EXPECT_EQ(place.woken, 1);
  EXPECT_EQ(place.room.taken(), 1u);
  EXPECT_TRUE(exchange.look_again().empty());
  replica.ready = true;
  const auto answers = exchange.look_again();
  EXPECT_EQ(endpoints_of(answers.at(0)), replica.address);
  EXPECT_EQ(streamed(answers).text, R"({"messages":[]})");
  EXPECT_EQ(place.room.taken(), 0u);
  EXPECT_FALSE(exchange.waits());
}

TEST(Exchange, WaitsNotForeverAndNotWithTooMany) {
  Place place(1, 1);
  place.pool.all()[0]->ready = false;
  Exchange first(place.pool, place.room,
                 {.hold = std::chrono::seconds(0), .startup = std::chrono::seconds(42)});
  first.take(headers(true));
  {
    Exchange second(place.pool, place.room, {});
    const auto answers = second.take(headers(true));
    EXPECT_EQ(answers.at(0).immediate_response().status().code(), 503);
    EXPECT_EQ(answers[0].immediate_response().details(), "too_many_held");
  }
  const auto answers = first.look_again();
  EXPECT_EQ(answers.at(0).immediate_response().details(), "no_replica");
  bool says_when = false;
  for (const auto& option : answers[0].immediate_response().headers().set_headers()) {
    says_when = says_when ||
                (option.header().key() == "retry-after" && option.header().raw_value() == "42");
  }
  EXPECT_TRUE(says_when);
  EXPECT_EQ(place.room.taken(), 0u);
}

TEST(Exchange, FullReplicasAre429WhereNobodyCanWait) {
  Place place(1);
  place.pool.all()[0]->ready = false;
  place.pool.all()[0]->full = true;
  Exchange exchange(place.pool, place.room, {});
  const auto answers = exchange.take(headers(true, ext_proc::NONE));
  EXPECT_EQ(answers.at(0).immediate_response().status().code(), 429);
}

TEST(Exchange, TheOneWhoAnsweredHoldsThePlace) {
  Place place(2);
  Exchange exchange(place.pool, place.room, {.endpoints = 2});
  const std::string names = endpoints_of(exchange.take(headers(true)).at(0));
  const std::string second = names.substr(names.find(',') + 1);
  ProcessingRequest message;
  message.mutable_response_headers();
  (*(*message.mutable_metadata_context()->mutable_filter_metadata())["envoy.lb"]
        .mutable_fields())["x-gateway-destination-endpoint-served"]
      .set_string_value(second);
  EXPECT_TRUE(exchange.take(message).at(0).has_response_headers());
  EXPECT_EQ(place.pool.find_address(second)->in_flight, 1);
  EXPECT_EQ(place.pool.find_address(second)->answers, 1);
  EXPECT_EQ(place.in_flight(), 1);
}

TEST(Exchange, AnAnswersBodyIsHandedBackInPieces) {
  Place place(1);
  Exchange exchange(place.pool, place.room, {});
  exchange.take(headers(true));
  ProcessingRequest message;
  message.mutable_response_body()->set_body(std::string(130'000, 'z'));
  message.mutable_response_body()->set_end_of_stream(true);
  const auto answers = exchange.take(message);
  ASSERT_EQ(answers.size(), 3u);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto& piece = answers[i].response_body().response().body_mutation().streamed_response();
    bytes += piece.body().size();
    EXPECT_EQ(piece.end_of_stream(), i == 2);
  }
  EXPECT_EQ(bytes, 130'000u);
}

TEST(Exchange, ABodyWithoutEndIsRefused) {
  Place place(1);
  place.pool.all()[0]->ready = false;
  Exchange exchange(place.pool, place.room, {.body_bytes = 1000});
  exchange.take(headers(false));
  EXPECT_TRUE(exchange.take(body(std::string(1000, 'a'), false)).empty());
  const auto answers = exchange.take(body("a", false));
  EXPECT_EQ(answers.at(0).immediate_response().status().code(), 413);
}

TEST(Exchange, WhoOnlyWatchesIsNotAnswered) {
  Place place(1);
  Exchange exchange(place.pool, place.room, {});
  ProcessingRequest message = headers(true);
  message.set_observability_mode(true);
  EXPECT_TRUE(exchange.take(message).empty());
  EXPECT_EQ(place.in_flight(), 0);
}

}  // namespace
}  // namespace bundle::gateway::picker
