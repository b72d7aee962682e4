#include "runtime/engine/wire.h"

#include <algorithm>
#include <limits>

namespace bundle::engine::wire {
namespace {

constexpr const char* kWhere = "engine message";

// Bodies' fixed parts. Fields are ordered so that no padding is needed; sizes are asserted.

struct SubmitFields {
  std::uint64_t id;
  std::uint64_t cache_salt;
  std::uint64_t seed;
  std::uint64_t turn;
  double temperature;
  double top_p;
  double min_p;
  double repetition_penalty;
  double frequency_penalty;
  double presence_penalty;
  std::int32_t top_k;
  std::int32_t max_tokens;
  std::int32_t min_tokens;
  std::int32_t logprobs;
  std::int32_t prompt_logprobs;
  std::uint32_t prompt;  // counts of what follows, in this order
  std::uint32_t biases;
  std::uint32_t stop_ids;
  std::uint32_t has_seed;
  std::uint32_t ignore_eos;
  std::int32_t priority;
  std::uint32_t preview;
  std::int32_t resumed;
  std::uint32_t constraint_bytes;
  std::uint32_t after_bytes;  // of the text from which on the constraint holds
  std::uint32_t pooling;
};
static_assert(sizeof(SubmitFields) == 144);

struct Bias {
  std::int32_t token;
  float value;
};
static_assert(sizeof(Bias) == 8);

struct EventFields {
  std::uint64_t id;
  std::int32_t cached_tokens;
  std::int32_t stop_token;
  std::uint32_t finish;
  std::uint32_t tokens;  // counts of what follows, in this order
  std::uint32_t logprobs;
  std::uint32_t prompt_logprobs;
  std::uint32_t error_bytes;
  float queued_seconds;
  std::uint32_t embedding;  // count of floats, behind the error
  std::uint32_t reserved;
};
static_assert(sizeof(EventFields) == 48);

/// A scored token: the chosen one, then `top` more.
struct ScoreFields {
  TokenLogprob chosen;
  std::uint32_t top;
};
static_assert(sizeof(TokenLogprob) == 12 && sizeof(ScoreFields) == 16);

struct ProgressFields {
  std::uint64_t done;
  std::uint64_t total;
};

struct FailureFields {
  std::int32_t code;
  std::uint32_t what_bytes;
  std::uint32_t where_bytes;
  std::uint32_t remedy_bytes;
};

template <typename T>
void put(std::string& out, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

template <typename T>
void put_all(std::string& out, const std::vector<T>& values) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::uint32_t count(std::size_t n) { return static_cast<std::uint32_t>(n); }

std::string start_frame() { return std::string(sizeof(FrameHeader), '\0'); }

std::string end_frame(std::string frame, Kind kind) {
  const FrameHeader header{kMagic, kVersion, kind, frame.size() - sizeof(FrameHeader)};
  std::memcpy(frame.data(), &header, sizeof(header));
  return frame;
}

/// `n` values, if that many are left.
template <typename T>
Result<std::vector<T>> take_all(ByteReader& in, std::uint64_t n, const char* what) {
  if (n > in.left() / sizeof(T)) return bad_input(std::string(what) + " run past the end", kWhere);
  BUNDLE_TRY(const Bytes raw, in.take(n * sizeof(T), what));
  std::vector<T> values(n);
  if (n > 0) std::memcpy(values.data(), raw.data(), raw.size());
  return values;
}

Result<std::string> take_text(ByteReader& in, std::uint64_t n, const char* what) {
  BUNDLE_TRY(const Bytes raw, in.take(n, what));
  return std::string(as_text(raw));
}

Status expect_end(const ByteReader& in) {
  if (in.left() > 0) return bad_input("a message is longer than its fields say", kWhere);
  return {};
}

void put_scores(std::string& out, const std::vector<ScoredToken>& scores) {
  for (const ScoredToken& score : scores) {
    put(out, ScoreFields{score.chosen, count(score.top.size())});
    put_all(out, score.top);
  }
}

Result<std::vector<ScoredToken>> take_scores(ByteReader& in, std::uint64_t n) {
  if (n > in.left() / sizeof(ScoreFields)) return bad_input("scores run past the end", kWhere);
  std::vector<ScoredToken> scores(n);
  for (ScoredToken& score : scores) {
    BUNDLE_TRY(const auto fields, in.read<ScoreFields>("a score"));
    score.chosen = fields.chosen;
    BUNDLE_TRY(score.top, take_all<TokenLogprob>(in, fields.top, "candidates"));
  }
  return scores;
}

std::uint64_t score_bytes(const std::vector<ScoredToken>& scores) {
  std::uint64_t bytes = scores.size() * sizeof(ScoreFields);
  for (const ScoredToken& score : scores) bytes += score.top.size() * sizeof(TokenLogprob);
  return bytes;
}

bool fits(const Event& event) {
  return event.tokens.size() * sizeof(std::int32_t) + event.error.size() +
             event.embedding.size() * sizeof(float) + score_bytes(event.logprobs) +
             score_bytes(event.prompt_logprobs) <
         kMaxBody - sizeof(EventFields);
}

SamplingParams sampling_of(const SubmitFields& fields) {
  SamplingParams p;
  p.temperature = fields.temperature;
  p.top_k = fields.top_k;
  p.top_p = fields.top_p;
  p.min_p = fields.min_p;
  p.repetition_penalty = fields.repetition_penalty;
  p.frequency_penalty = fields.frequency_penalty;
  p.presence_penalty = fields.presence_penalty;
  if (fields.has_seed != 0) p.seed = fields.seed;
  p.max_tokens = fields.max_tokens;
  p.min_tokens = fields.min_tokens;
  p.ignore_eos = fields.ignore_eos != 0;
  p.logprobs = fields.logprobs;
  p.prompt_logprobs = fields.prompt_logprobs;
  return p;
}

Status read_failure(Bytes body, Error& error) {
  ByteReader in(body, kWhere);
  BUNDLE_TRY(const auto fields, in.read<FailureFields>("a failure"));
  constexpr ErrorCode kCodes[] = {ErrorCode::kUsage, ErrorCode::kBadInput, ErrorCode::kNotFound,
                                  ErrorCode::kUnreachable, ErrorCode::kInterrupted};
  for (const ErrorCode code : kCodes) {
    if (static_cast<std::int32_t>(code) == fields.code) error.code = code;
  }
  BUNDLE_TRY(error.what, take_text(in, fields.what_bytes, "what failed"));
  BUNDLE_TRY(error.where, take_text(in, fields.where_bytes, "where it failed"));
  BUNDLE_TRY(error.remedy, take_text(in, fields.remedy_bytes, "a remedy"));
  BUNDLE_CHECK(expect_end(in));
  return {};
}

}  // namespace

std::string encode_submit(const Request& request) {
  const SamplingParams& p = request.sampling;
  std::string out = start_frame();
  put(out, SubmitFields{request.id,
                        request.cache_salt,
                        p.seed.value_or(0),
                        request.turn,
                        p.temperature,
                        p.top_p,
                        p.min_p,
                        p.repetition_penalty,
                        p.frequency_penalty,
                        p.presence_penalty,
                        p.top_k,
                        p.max_tokens,
                        p.min_tokens,
                        p.logprobs,
                        p.prompt_logprobs,
                        count(request.prompt.size()),
                        count(p.logit_bias.size()),
                        count(p.stop_ids.size()),
                        p.seed.has_value(),
                        p.ignore_eos,
                        request.priority,
                        request.preview,
                        request.resumed,
                        count(p.constraint.tag.size()),
                        count(p.constraint.after.size()),
                        static_cast<std::uint32_t>(request.pooling)});
  put_all(out, request.prompt);
  for (const auto& [token, value] : p.logit_bias) put(out, Bias{token, value});
  put_all(out, p.stop_ids);
  out += p.constraint.tag;
  out += p.constraint.after;
  return end_frame(std::move(out), Kind::kSubmit);
}

Result<Request> decode_submit(Bytes body) {
  ByteReader in(body, kWhere);
  BUNDLE_TRY(const auto fields, in.read<SubmitFields>("a request"));
  if (fields.pooling > static_cast<std::uint32_t>(Pooling::kMean)) {
    return bad_input("a request has an unknown pooling", kWhere);
  }
  Request request;
  request.pooling = static_cast<Pooling>(fields.pooling);
  request.id = fields.id;
  request.cache_salt = fields.cache_salt;
  request.turn = fields.turn;
  request.priority = fields.priority;
  request.preview = fields.preview != 0;
  request.resumed = fields.resumed;
  request.sampling = sampling_of(fields);
  BUNDLE_TRY(request.prompt, take_all<std::int32_t>(in, fields.prompt, "prompt tokens"));
  BUNDLE_TRY(const auto biases, take_all<Bias>(in, fields.biases, "biases"));
  for (const Bias& bias : biases) request.sampling.logit_bias.emplace_back(bias.token, bias.value);
  BUNDLE_TRY(request.sampling.stop_ids, take_all<std::int32_t>(in, fields.stop_ids, "stop ids"));
  OutputConstraint& constraint = request.sampling.constraint;
  BUNDLE_TRY(constraint.tag, take_text(in, fields.constraint_bytes, "a constraint"));
  BUNDLE_TRY(constraint.after, take_text(in, fields.after_bytes, "a constraint's beginning"));
  BUNDLE_CHECK(expect_end(in));
  return request;
}

std::string encode_abort(std::uint64_t id) {
  std::string out = start_frame();
  put(out, id);
  return end_frame(std::move(out), Kind::kAbort);
}

Result<std::uint64_t> decode_abort(Bytes body) {
  ByteReader in(body, kWhere);
  BUNDLE_TRY(const auto id, in.read<std::uint64_t>("an id"));
  BUNDLE_CHECK(expect_end(in));
  return id;
}

std::string encode_released() { return end_frame(start_frame(), Kind::kReleased); }
std::string encode_stop() { return end_frame(start_frame(), Kind::kStop); }
std::string encode_ready() { return end_frame(start_frame(), Kind::kReady); }

std::string encode_progress(const LoadProgress& progress) {
  std::string out = start_frame();
  put(out, ProgressFields{progress.done, progress.total});
  out += progress.stage;
  return end_frame(std::move(out), Kind::kProgress);
}

Result<LoadProgress> decode_progress(Bytes body) {
  ByteReader in(body, kWhere);
  BUNDLE_TRY(const auto fields, in.read<ProgressFields>("progress"));
  BUNDLE_TRY(std::string stage, take_text(in, in.left(), "a stage"));
  return LoadProgress{std::move(stage), fields.done, fields.total};
}

std::string encode_event(const Event& event) {
  if (!fits(event)) {
    Event refusal;
    refusal.id = event.id;
    refusal.finish = FinishReason::kError;
    refusal.error = "the log-probabilities of this prompt are too large to hand over";
    return encode_event(refusal);
  }
  std::string out = start_frame();
  put(out, EventFields{event.id, event.cached_tokens, event.stop_token,
                       static_cast<std::uint32_t>(event.finish), count(event.tokens.size()),
                       count(event.logprobs.size()), count(event.prompt_logprobs.size()),
                       count(event.error.size()), event.queued_seconds,
                       count(event.embedding.size()), 0});
  put_all(out, event.tokens);
  put_scores(out, event.logprobs);
  put_scores(out, event.prompt_logprobs);
  out += event.error;
  put_all(out, event.embedding);
  return end_frame(std::move(out), Kind::kEvent);
}

Result<Event> decode_event(Bytes body) {
  ByteReader in(body, kWhere);
  BUNDLE_TRY(const auto fields, in.read<EventFields>("an event"));
  if (fields.finish > static_cast<std::uint32_t>(FinishReason::kRefused)) {
    return bad_input("an event has an unknown finish reason", kWhere);
  }
  Event event;
  event.id = fields.id;
  event.cached_tokens = fields.cached_tokens;
  event.stop_token = fields.stop_token;
  event.queued_seconds = fields.queued_seconds;
  event.finish = static_cast<FinishReason>(fields.finish);
  BUNDLE_TRY(event.tokens, take_all<std::int32_t>(in, fields.tokens, "tokens"));
  BUNDLE_TRY(event.logprobs, take_scores(in, fields.logprobs));
  BUNDLE_TRY(event.prompt_logprobs, take_scores(in, fields.prompt_logprobs));
  BUNDLE_TRY(event.error, take_text(in, fields.error_bytes, "an error"));
  BUNDLE_TRY(event.embedding, take_all<float>(in, fields.embedding, "an embedding"));
  BUNDLE_CHECK(expect_end(in));
  return event;
}

std::string encode_failure(const Error& error) {
  std::string out = start_frame();
  put(out, FailureFields{static_cast<std::int32_t>(error.code), count(error.what.size()),
                         count(error.where.size()), count(error.remedy.size())});
  out += error.what + error.where + error.remedy;
  return end_frame(std::move(out), Kind::kFailure);
}

Error decode_failure(Bytes body) {
  Error error;
  if (const Status status = read_failure(body, error); !status) return status.error();
  return error;
}

Status FrameReader::feed(Bytes bytes) {
  while (!bytes.empty()) {
    std::string& part = in_body_ ? current_.body : header_;
    const std::uint64_t whole = in_body_ ? expected_ : sizeof(FrameHeader);
    const std::size_t n = std::min<std::uint64_t>(bytes.size(), whole - part.size());
    part += as_text(bytes.first(n));
    bytes = bytes.subspan(n);
    if (!in_body_ && header_.size() == sizeof(FrameHeader)) BUNDLE_CHECK(read_header());
    if (in_body_ && current_.body.size() == expected_) {
      done_.push_back(std::move(current_));
      current_ = {};
      in_body_ = false;
    }
  }
  return {};
}

Status FrameReader::read_header() {
  FrameHeader header;
  std::memcpy(&header, header_.data(), sizeof(header));
  header_.clear();
  if (header.magic != kMagic) return bad_input("a message does not start as one", kWhere);
  if (header.version != kVersion) {
    return bad_input("a message has version " + std::to_string(header.version), kWhere);
  }
  if (header.length > kMaxBody) return bad_input("a message is too long", kWhere);
  current_.kind = header.kind;
  expected_ = header.length;
  in_body_ = true;
  return {};
}

std::vector<Frame> FrameReader::take() { return std::exchange(done_, {}); }

}  // namespace bundle::engine::wire
