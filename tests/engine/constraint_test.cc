#include "runtime/engine/constraint.h"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <regex>

#include "base/json.h"
#include "runtime/engine/engine.h"
#include "tests/engine/fake_model.h"

namespace bundle::engine {
namespace {

constexpr std::int32_t kEnd = 0, kTrue = 96, kThinkEnd = 97, kSpecial = 98;
constexpr std::int32_t kVocabulary = 99;

/// The end token, printable ASCII, a word, a tag, and a special token.
ConstraintVocabulary vocabulary() {
  ConstraintVocabulary out;
  out.bytes.resize(kVocabulary);
  for (std::int32_t id = 1; id <= 95; ++id)
    out.bytes[id] = std::string(1, static_cast<char>(31 + id));
  out.bytes[kTrue] = "true";
  out.bytes[kThinkEnd] = "</think>";
  out.end_ids = {kEnd};
  return out;
}

std::string tag(std::string_view format) {
  return R"({"type":"structural_tag","format":)" + std::string(format) + "}";
}

std::string schema_tag(std::string_view schema) {
  return tag(R"({"type":"json_schema","max_whitespace_cnt":2,"json_schema":)" +
             std::string(schema) + "}");
}

class ConstraintTest : public testing::Test {
 protected:
  ConstraintTest() : device_(make_fake_device()) {
    fake_.vocab_size = kVocabulary;
    fake_.max_positions = 512;
    fake_.eos_ids = {kEnd};
    options_.kv_tokens = 4096;
    options_.block_tokens = 4;
    options_.constraints = std::make_shared<ConstraintCompiler>(
        [] { return Result<ConstraintVocabulary>(vocabulary()); });
  }

  static Request request(std::uint64_t id, std::string constraint, double temperature = 1.0) {
    Request r;
    r.id = id;
    r.prompt = {static_cast<std::int32_t>(id % 90 + 1), 7, 9};
    r.sampling.temperature = temperature;
    r.sampling.seed = id;
    r.sampling.max_tokens = 300;
    r.sampling.constraint.tag = std::move(constraint);
    return r;
  }

  std::map<std::uint64_t, Outcome> run(const std::vector<Request>& requests) {
    auto engine = *Engine::create(make_fake_model(fake_), *device_, options_);
    for (const Request& r : requests) engine->submit(r);
    std::map<std::uint64_t, Outcome> outcomes;
    error_.clear();
    while (!engine->idle()) {
      std::vector<Event> events;
      engine->step(events);
      for (const Event& event : events) {
        add_event(outcomes[event.id], event);
        if (!event.error.empty()) error_ = event.error;
      }
      EXPECT_EQ(engine->audit(), "");
    }
    return outcomes;
  }

  static std::string text(const Outcome& outcome) {
    std::string out;
    for (const std::int32_t id : outcome.tokens) out += vocabulary().bytes[id];
    return out;
  }

  std::string run_one(const Request& r) {
    const Outcome outcome = run({r})[r.id];
    EXPECT_EQ(outcome.finish, FinishReason::kStop);
    return text(outcome);
  }

  FakeConfig fake_;
  EngineOptions options_;
  std::unique_ptr<kernels::Device> device_;
  std::string error_;
};

constexpr char kSchema[] =
    R"({"type":"object","properties":{"n":{"type":"integer","minimum":0,"maximum":99},)"
    R"("ok":{"type":"boolean"},"unit":{"enum":["m","km"]},)"
    R"("list":{"type":"array","items":{"type":"boolean"},"maxItems":3}},)"
    R"("required":["n","ok","unit","list"],"additionalProperties":false})";

TEST_F(ConstraintTest, EveryOutputFitsItsSchema) {
  std::vector<Request> requests;
  for (std::uint64_t id = 1; id <= 40; ++id) {
    requests.push_back(request(id, schema_tag(kSchema), id % 4 == 0 ? 0.0 : 1.0));
  }
  for (const auto& [id, outcome] : run(requests)) {
    EXPECT_EQ(outcome.finish, FinishReason::kStop);
    const auto value = parse_json(text(outcome), "output");
    ASSERT_TRUE(value) << text(outcome);
    EXPECT_EQ(value->as_object().size(), 4U);
    const std::int64_t n = value->at("n").as_int64();
    EXPECT_TRUE(n >= 0 && n <= 99) << n;
    EXPECT_TRUE(value->at("ok").is_bool());
    EXPECT_TRUE(value->at("unit") == "m" || value->at("unit") == "km");
    EXPECT_LE(value->at("list").as_array().size(), 3U);
  }
}

TEST_F(ConstraintTest, AModelThatChoosesChangesNoneOfTheOutputsBesideThem) {
  std::vector<Request> requests;
  for (std::uint64_t id = 1; id <= 20; ++id) {
    requests.push_back(request(id, id % 2 == 0 ? schema_tag(kSchema) : "", 0.9));
    if (id % 2 == 1) requests.back().sampling.constraint = {};
  }
  const auto expected = run(requests);
  fake_.chooses = true;
  int chosen = 0;
  fake_.on_step = [&](std::span<const model::SequenceChunk> chunks) {
    for (const auto& chunk : chunks) chosen += !chunk.choices.empty();
  };
  const auto got = run(requests);
  for (const Request& r : requests) EXPECT_EQ(got.at(r.id).tokens, expected.at(r.id).tokens);
  EXPECT_GT(chosen, 100);
}

TEST_F(ConstraintTest, RegularExpressionsChoicesAndGrammarsHold) {
  for (std::uint64_t id = 1; id <= 10; ++id) {
    const std::string code =
        run_one(request(id, tag(R"({"type":"regex","pattern":"[ab]{3}-\\d+"})")));
    EXPECT_TRUE(std::regex_match(code, std::regex("[ab]{3}-\\d+"))) << code;
    const std::string word =
        run_one(request(id, tag(R"({"type":"or","elements":[{"type":"const_string","value":"yes"},)"
                                R"({"type":"const_string","value":"no"}]})")));
    EXPECT_TRUE(word == "yes" || word == "no") << word;
    const std::string sum = run_one(
        request(id, tag(R"({"type":"grammar","grammar":"root ::= d (\"+\" d)*\nd ::= [0-9]"})")));
    EXPECT_TRUE(std::regex_match(sum, std::regex("\\d(\\+\\d)*"))) << sum;
  }
}

TEST_F(ConstraintTest, HoldsOnlyAfterATextWhenAsked) {
  Request r = request(3, schema_tag(R"({"const":"done"})"), 0.0);
  r.sampling.constraint.after = "</think>";
  r.sampling.logit_bias = {{kThinkEnd, 100.0f}};
  EXPECT_EQ(run_one(r), "</think>\"done\"");
}

TEST_F(ConstraintTest, AResumedOutputGoesOnUnderIt) {
  const Request whole = request(4, schema_tag(kSchema));
  const Outcome expected = run({whole})[4];
  ASSERT_GT(expected.tokens.size(), 10U);
  Request rest = whole;
  rest.prompt.insert(rest.prompt.end(), expected.tokens.begin(), expected.tokens.begin() + 10);
  rest.resumed = 10;
  const Outcome resumed = run({rest})[4];
  EXPECT_EQ(resumed.tokens,
            std::vector<std::int32_t>(expected.tokens.begin() + 10, expected.tokens.end()));
}

TEST_F(ConstraintTest, ATokenThatIsTriedIsTakenWhereAMaskAllowsIt) {
  std::mt19937 random(1);
  for (const std::string& constraint :
       {schema_tag(kSchema), schema_tag(R"({"type":"object"})"),
        tag(R"({"type":"regex","pattern":"([a-z]+ ){6}(true|[0-9]{2,})!?"})")}) {
    for (int round = 0; round < 5; ++round) {
      auto masked = options_.constraints->begin({constraint, ""});
      auto tried = options_.constraints->begin({constraint, ""});
      while (masked->state() != ConstrainedOutput::State::kReady ||
             tried->state() != ConstrainedOutput::State::kReady) {
        masked->wait(std::chrono::milliseconds(100));
      }
      for (int step = 0; step < 60; ++step) {
        const auto mask = masked->mask();
        std::vector<std::int32_t> allowed;
        for (std::int32_t id = 0; id < kVocabulary; ++id) {
          const auto word = mask.empty() ? ~0u : static_cast<std::uint32_t>(mask[id / 32]);
          if ((word >> (id % 32) & 1U) != 0) {
            allowed.push_back(id);
          } else {
            ASSERT_FALSE(tried->try_take(id)) << id << " at " << step;
          }
        }
        ASSERT_EQ(tried->complete(), masked->complete()) << step;
        ASSERT_FALSE(allowed.empty());
        const std::int32_t id = allowed[random() % allowed.size()];
        ASSERT_TRUE(tried->try_take(id)) << id << " at " << step;
        if (id == kEnd) break;
        masked->take(id);
      }
    }
  }
}

TEST_F(ConstraintTest, SpecialTokensNeverCome) {
  Request r = request(5, tag(R"({"type":"regex","pattern":".{20}"})"));
  r.sampling.logit_bias = {{kSpecial, 100.0f}};
  EXPECT_EQ(run_one(r).size(), 20U);
}

TEST_F(ConstraintTest, IgnoringTheEndTokenDoesNotGoOnForEver) {
  Request r = request(6, tag(R"({"type":"const_string","value":"abc"})"));
  r.sampling.ignore_eos = true;
  r.sampling.min_tokens = 50;
  EXPECT_EQ(run_one(r), "abc");
}

TEST_F(ConstraintTest, ACrowdChangesNothing) {
  std::vector<Request> crowd;
  for (std::uint64_t id = 1; id <= 16; ++id) {
    crowd.push_back(request(id, id % 3 == 0 ? "" : schema_tag(kSchema)));
  }
  auto together = run(crowd);
  for (const Request& r : crowd) EXPECT_EQ(run({r})[r.id].tokens, together[r.id].tokens) << r.id;
}

TEST_F(ConstraintTest, WhatCanNotBeCompiledIsRefusedWithAReason) {
  std::string many, bars;
  for (std::size_t i = 1; i <= kMostAlternatives; ++i) {
    many += "," + std::to_string(i);
    bars += "|" + std::to_string(i);
  }
  bars += "|b";
  for (const std::string& bad : {
           tag(R"({"type":"regex","pattern":"(["})"),
           tag(R"({"type":"json_schema","json_schema":{"type":"what"}})"),
           tag(R"({"type":"json_schema","json_schema":{"$ref":"#/nowhere"}})"),
           tag(R"({"type":"json_schema","json_schema":{"type":"string","pattern":"("}})"),
           tag(R"({"type":"grammar","grammar":"root ::= undefined"})"),
           tag(R"({"type":"grammar","grammar":"no root"})"),
           tag(R"({"type":"nothing"})"),
           std::string("{"),
           std::string(300 << 10, 'x'),
           tag(R"({"type":"json_schema","json_schema":{"enum":[0)" + many + "]}}"),
           tag(R"({"type":"regex","pattern":"a)" + bars + "\"}"),
       }) {
    const Status checked = check_constraint(bad);
    ASSERT_FALSE(checked) << bad.substr(0, 100);
    EXPECT_EQ(checked.error().code, ErrorCode::kBadInput);
    EXPECT_GT(checked.error().what.size(), 40U) << checked.error().what;
  }
  EXPECT_TRUE(check_constraint(schema_tag(kSchema)));
}

TEST_F(ConstraintTest, HostileConstraintsAreRefusedOrCompiled) {
  const std::string deep = std::string(20000, '(') + "a" + std::string(20000, ')');
  std::string nested = R"({"type":"boolean"})";
  for (int i = 0; i < 60; ++i) nested = R"({"type":"array","items":)" + nested + "}";
  for (const std::string& hostile : {
           tag(R"({"type":"regex","pattern":")" + deep + "\"}"),
           tag(R"({"type":"regex","pattern":"a{1,100000000}"})"),
           tag(R"({"type":"regex","pattern":"((a{1,1000}){1,1000}){1,1000}"})"),
           tag(R"({"type":"grammar","grammar":"root ::= root"})"),
           tag(R"({"type":"grammar","grammar":"root ::= root root | \"a\""})"),
           tag(R"({"type":"json_schema","json_schema":{"$ref":"#"}})"),
           schema_tag(nested),
       }) {
    const auto start = std::chrono::steady_clock::now();
    static_cast<void>(check_constraint(hostile));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5))
        << hostile.substr(0, 100);
  }
}

TEST_F(ConstraintTest, AFailureIsThatRequestsAlone) {
  auto outcomes = run({request(1, tag(R"({"type":"regex","pattern":"(["})")),
                       request(2, tag(R"({"type":"regex","pattern":"ab"})"))});
  EXPECT_EQ(outcomes[1].finish, FinishReason::kRefused);
  EXPECT_FALSE(error_.empty());
  EXPECT_EQ(text(outcomes[2]), "ab");
}

/// More than the compiler keeps: those that it has let go of while they wait end all the same.
TEST_F(ConstraintTest, ManyDifferentConstraintsAtOnceAllHold) {
  constexpr std::uint64_t kMany = 200;
  std::vector<Request> requests;
  for (std::uint64_t id = 1; id <= kMany; ++id) {
    requests.push_back(
        request(id, tag(R"({"type":"regex","pattern":"x)" + std::to_string(id) + "\"}")));
  }
  auto outcomes = run(requests);
  for (std::uint64_t id = 1; id <= kMany; ++id) {
    EXPECT_EQ(text(outcomes[id]), "x" + std::to_string(id));
  }
}

TEST_F(ConstraintTest, WhatNoOutputFitsIsRefused) {
  for (const char* none : {R"({"type":"grammar","grammar":"root ::= root"})",
                           R"({"type":"json_schema","json_schema":{"$ref":"#"}})"}) {
    auto outcomes = run({request(1, tag(none))});
    EXPECT_EQ(outcomes[1].finish, FinishReason::kRefused) << none;
    EXPECT_NE(error_.find("no output fits"), std::string::npos) << error_;
  }
}

TEST_F(ConstraintTest, WithoutTokensTextsConstraintsAreRefused) {
  options_.constraints = nullptr;
  EXPECT_EQ(run({request(1, tag(R"({"type":"regex","pattern":"a"})"))})[1].finish,
            FinishReason::kError);
}

TEST_F(ConstraintTest, RequestsThatLeaveWhileCompilingAreForgotten) {
  auto engine = *Engine::create(make_fake_model(fake_), *device_, options_);
  for (std::uint64_t id = 1; id <= 20; ++id) {
    engine->submit(request(id, schema_tag(R"({"const":)" + std::to_string(id) + "}")));
    engine->abort(id);
  }
  std::vector<Event> events;
  while (!engine->idle()) engine->step(events);
  engine->step(events);
  EXPECT_EQ(events.size(), 20U);
  for (const Event& event : events) EXPECT_EQ(event.finish, FinishReason::kAborted);
}

}  // namespace
}  // namespace bundle::engine
