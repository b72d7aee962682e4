#include "runtime/gateway/picker/exchange.h"

#include <algorithm>

#include <boost/algorithm/string/case_conv.hpp>

#include "runtime/server/api_error.h"

namespace bundle::gateway::picker {
namespace {

using ext_proc::CommonResponse;
using ext_proc::ProcessingRequest;
using ext_proc::ProcessingResponse;

constexpr char kEndpoint[] = "x-gateway-destination-endpoint";
constexpr char kServed[] = "x-gateway-destination-endpoint-served";
constexpr char kSubset[] = "x-gateway-destination-endpoint-subset";
constexpr char kNamespace[] = "envoy.lb";
constexpr char kSubsetNamespace[] = "envoy.lb.subset_hint";
constexpr std::size_t kMostPiece = 62'000;  // Envoy wants answers of at most 64 KiB
constexpr std::size_t kMostPreamble = 256u
                                      << 10;  // looked through for the conversation's beginning

const ext_proc::Value* metadata_of(const ProcessingRequest& message, const char* space,
                                   const char* key) {
  const auto& spaces = message.metadata_context().filter_metadata();
  const auto found = spaces.find(space);
  if (found == spaces.end()) return nullptr;
  const auto value = found->second.fields().find(key);
  return value == found->second.fields().end() ? nullptr : &value->second;
}

void add_trimmed(std::string_view text, std::set<std::string>& list) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return;
  list.emplace(text.substr(begin, text.find_last_not_of(' ') + 1 - begin));
}

/// Addresses of a list, or of a text with commas between them: data planes do both.
std::set<std::string> addresses_of(const ext_proc::Value& value) {
  std::set<std::string> list;
  for (const ext_proc::Value& one : value.list_value().values()) {
    add_trimmed(one.string_value(), list);
  }
  for (std::string_view rest = value.string_value(); !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    add_trimmed(rest.substr(0, comma), list);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return list;
}

void set_header(ext_proc::HeaderMutation& headers, const std::string& key,
                const std::string& value) {
  ext_proc::HeaderValueOption& option = *headers.add_set_headers();
  option.mutable_header()->set_key(key);
  option.mutable_header()->set_raw_value(value);
  option.set_append_action(ext_proc::OVERWRITE_IF_EXISTS_OR_ADD);
}

/// A piece of a body that flows both ways: what was taken must be handed back.
void set_piece(CommonResponse& response, std::string_view text, bool last) {
  auto& piece = *response.mutable_body_mutation()->mutable_streamed_response();
  piece.set_body(text.data(), text.size());
  piece.set_end_of_stream(last);
}

}  // namespace

bool knows_prefix(std::string_view body) {
  constexpr std::size_t kPrefix = 1024;
  const std::size_t at = std::min(body.find("\"messages\""), body.find("\"prompt\""));
  return at != std::string_view::npos && body.size() - at >= kPrefix;
}

Exchange::Exchange(Pool& pool, WaitingRoom& room, ExchangeOptions options)
    : pool_(pool), room_(room), options_(options) {}

Exchange::~Exchange() {
  leave_room();
  hold_place(nullptr);
}

Exchange::Answers Exchange::take(const ProcessingRequest& message) {
  Answers answers;
  if (message.observability_mode() || stage_ == Stage::kRefused) return answers;
  if (first_) read_settings(message);
  switch (message.request_case()) {
    case ProcessingRequest::kRequestHeaders:
      take_request_headers(message.request_headers(), answers);
      break;
    case ProcessingRequest::kRequestBody:
      take_request_body(message.request_body(), answers);
      break;
    case ProcessingRequest::kRequestTrailers:
      take_request_trailers(answers);
      break;
    case ProcessingRequest::kResponseHeaders:
      note_served(message);
      answers.emplace_back().mutable_response_headers();
      break;
    case ProcessingRequest::kResponseBody:
      take_response_body(message.response_body(), answers);
      break;
    case ProcessingRequest::kResponseTrailers:
      answers.emplace_back().mutable_response_trailers();
      break;
    case ProcessingRequest::REQUEST_NOT_SET:
      break;
  }
  return answers;
}

void Exchange::read_settings(const ProcessingRequest& message) {
  first_ = false;
  if (message.has_protocol_config()) {
    request_mode_ = message.protocol_config().request_body_mode();
    response_mode_ = message.protocol_config().response_body_mode();
  }
  if (const auto* subset = metadata_of(message, kSubsetNamespace, kSubset)) {
    subset_ = addresses_of(*subset);
  }
}

bool Exchange::body_is_streamed() const { return request_mode_ == ext_proc::FULL_DUPLEX_STREAMED; }

bool Exchange::body_comes_whole() const {
  return request_mode_ == ext_proc::BUFFERED || request_mode_ == ext_proc::BUFFERED_PARTIAL;
}

void Exchange::take_request_headers(const ext_proc::HttpHeaders& headers, Answers& answers) {
  const bool has_body = !headers.end_of_stream();
  if (has_body && body_is_streamed()) return;
  if (has_body && body_comes_whole()) {
    // The body is sent after this answer only; its own answer may still set headers.
    answer_in_body_ = true;
    answers.emplace_back().mutable_request_headers();
    return;
  }
  choose(answers);
}

void Exchange::take_request_body(const ext_proc::HttpBody& body, Answers& answers) {
  const bool has_choice = body_is_streamed() || (body_comes_whole() && stage_ == Stage::kReading);
  if (!has_choice) {
    answers.emplace_back().mutable_request_body();
    return;
  }
  if (body.body().size() > options_.body_bytes - std::min(options_.body_bytes, body_.size())) {
    refuse({.status = 413, .code = "request_too_large", .message = "The body is too large."},
           answers);
    return;
  }
  body_ += body.body();
  body_ended_ = body_ended_ || body.end_of_stream();
  if (stage_ == Stage::kPicked) {
    pass_body(answers);
    return;
  }
  const bool enough =
      body_ended_ || body_comes_whole() || knows_prefix(body_) || body_.size() >= kMostPreamble;
  if (enough && stage_ == Stage::kReading) choose(answers);
}

void Exchange::take_request_trailers(Answers& answers) {
  trailers_came_ = true;
  if (stage_ == Stage::kReading) choose(answers);
  if (stage_ == Stage::kPicked && trailers_came_) {
    trailers_came_ = false;
    answers.emplace_back().mutable_request_trailers();
  }
}

void Exchange::take_response_body(const ext_proc::HttpBody& body, Answers& answers) {
  CommonResponse* response = answers.emplace_back().mutable_response_body()->mutable_response();
  if (response_mode_ != ext_proc::FULL_DUPLEX_STREAMED) return;
  std::string_view rest = body.body();
  while (rest.size() > kMostPiece) {
    set_piece(*response, rest.substr(0, kMostPiece), false);
    rest.remove_prefix(kMostPiece);
    response = answers.emplace_back().mutable_response_body()->mutable_response();
  }
  set_piece(*response, rest, body.end_of_stream());
}

/// A data plane that went down the list says who answered in the end: the place moves there.
void Exchange::note_served(const ProcessingRequest& message) {
  const auto* served = metadata_of(message, kNamespace, kServed);
  Backend* backend = served == nullptr ? nullptr : pool_.find_address(served->string_value());
  if (backend == nullptr) backend = backend_;
  if (backend == nullptr) return;
  hold_place(backend);
  ++backend->answers;
}

bool Exchange::is_allowed(const Backend& backend) const {
  return !backend.address.empty() && (!subset_ || subset_->count(backend.address) == 1);
}

void Exchange::choose(Answers& answers) {
  const Allowed allowed = [this](const Backend& one) { return is_allowed(one); };
  Backend* picked = pool_.pick(prefix_key(body_), {}, allowed);
  if (picked == nullptr) {
    wait_or_refuse(answers);
    return;
  }
  std::string endpoints = picked->address;
  for (const Backend* next : pool_.alternatives(*picked, options_.endpoints - 1, allowed)) {
    endpoints += "," + next->address;
  }
  leave_room();
  hold_place(picked);
  stage_ = Stage::kPicked;
  tell_endpoints(endpoints, answers);
  pass_body(answers);
  if (trailers_came_) {
    trailers_came_ = false;
    answers.emplace_back().mutable_request_trailers();
  }
}

/// A subset's replicas are the data plane's choice, so another one that starts would be none of
/// them; and other modes of the body time out within moments.
void Exchange::wait_or_refuse(Answers& answers) {
  const bool may_wait = !subset_ && body_is_streamed();
  if (stage_ == Stage::kWaiting && Clock::now() - waits_since_ < options_.hold) return;
  const int retry_after = static_cast<int>(options_.startup.count());
  if (stage_ == Stage::kWaiting || !may_wait) {
    refuse(pool_.any_full()
               ? server::rate_limited("overloaded", "The queue of each replica is full.", 2)
               : server::unavailable("no_replica", "No replica is ready.", retry_after),
           answers);
    return;
  }
  if (!room_.enter()) {
    refuse(
        server::unavailable("too_many_held", "Too many requests wait for a replica.", retry_after),
        answers);
    return;
  }
  in_room_ = true;
  waits_since_ = Clock::now();
  stage_ = Stage::kWaiting;
}

Exchange::Answers Exchange::look_again() {
  Answers answers;
  if (waits()) choose(answers);
  return answers;
}

/// By header and by metadata, as data planes read one or the other.
void Exchange::tell_endpoints(const std::string& endpoints, Answers& answers) {
  ProcessingResponse& answer = answers.emplace_back();
  CommonResponse* response = answer_in_body_ ? answer.mutable_request_body()->mutable_response()
                                             : answer.mutable_request_headers()->mutable_response();
  response->set_clear_route_cache(true);
  set_header(*response->mutable_header_mutation(), kEndpoint, endpoints);
  auto& spaces = *answer.mutable_dynamic_metadata()->mutable_fields();
  auto& fields = *spaces[kNamespace].mutable_struct_value()->mutable_fields();
  fields[kEndpoint].set_string_value(endpoints);
}

/// What came of the body since, in pieces that the data plane takes.
void Exchange::pass_body(Answers& answers) {
  if (!body_is_streamed()) {
    body_.clear();
    return;
  }
  std::string_view rest = body_;
  while (!rest.empty() || (body_ended_ && !body_told_)) {
    const std::string_view piece = rest.substr(0, kMostPiece);
    rest.remove_prefix(piece.size());
    body_told_ = body_ended_ && rest.empty();
    set_piece(*answers.emplace_back().mutable_request_body()->mutable_response(), piece,
              body_told_);
  }
  body_.clear();
}

void Exchange::refuse(const server::ApiError& error, Answers& answers) {
  leave_room();
  stage_ = Stage::kRefused;
  body_.clear();
  auto& answer = *answers.emplace_back().mutable_immediate_response();
  answer.mutable_status()->set_code(error.status);
  set_header(*answer.mutable_headers(), "content-type", "application/json");
  for (const auto& [name, value] : error.fields) {
    set_header(*answer.mutable_headers(), boost::algorithm::to_lower_copy(name), value);
  }
  answer.set_body(server::error_json(error));
  answer.set_details(error.code);
}

void Exchange::hold_place(Backend* backend) {
  if (backend != nullptr) ++backend->in_flight;
  if (backend_ != nullptr) --backend_->in_flight;
  backend_ = backend;
}

void Exchange::leave_room() {
  if (in_room_) room_.leave();
  in_room_ = false;
}

}  // namespace bundle::gateway::picker
