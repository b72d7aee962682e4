// What one request of a data plane and the picker say to each other: Envoy's external processing
// protocol (envoy.service.ext_proc.v3) with the endpoint picker protocol 1.0 of Gateway API's
// inference extension on top. No socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/gateway/picker/ext_proc.pb.h"
#include "runtime/gateway/pool.h"
#include "runtime/gateway/waiting_room.h"
#include "runtime/server/api_error.h"

namespace bundle::gateway::picker {

struct ExchangeOptions {
  std::chrono::seconds hold{600};    // how long it waits for a replica
  std::chrono::seconds startup{60};  // of a replica, for Retry-After
  /// At least 1: the picked one, and then those to try when it fails. Not every data plane takes a
  /// list; Envoy's ORIGINAL_DST takes one address.
  std::size_t endpoints = 1;
  std::size_t body_bytes = 64u << 20;
};

/// Holds its replica's place (Backend::in_flight) from the pick to its end. Not thread-safe.
class Exchange {
 public:
  using Clock = std::chrono::steady_clock;
  using Answers = std::vector<ext_proc::ProcessingResponse>;

  /// `pool` and `room` outlive it.
  Exchange(Pool& pool, WaitingRoom& room, ExchangeOptions options);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// The answers to one message, in their order; none while the choice needs more of the body, or
  /// a replica.
  Answers take(const ext_proc::ProcessingRequest& message);

  /// It has a request and no replica: look_again() is to be called every now and then.
  bool waits() const { return stage_ == Stage::kWaiting; }
  /// The answers that a replica has made possible since, or that it waited too long.
  Answers look_again();

 private:
  enum class Stage {
    kReading,  // the request's beginning is not known yet
    kWaiting,  // no replica is ready
    kPicked,   // all is passed on as it comes
    kRefused   // answered by the picker itself
  };

  void read_settings(const ext_proc::ProcessingRequest& message);
  void take_request_headers(const ext_proc::HttpHeaders& headers, Answers& answers);
  void take_request_body(const ext_proc::HttpBody& body, Answers& answers);
  void take_request_trailers(Answers& answers);
  void take_response_body(const ext_proc::HttpBody& body, Answers& answers);
  void note_served(const ext_proc::ProcessingRequest& message);

  bool body_is_streamed() const;
  bool body_comes_whole() const;
  void choose(Answers& answers);
  void wait_or_refuse(Answers& answers);
  void tell_endpoints(const std::string& endpoints, Answers& answers);
  void pass_body(Answers& answers);
  void refuse(const server::ApiError& error, Answers& answers);
  bool is_allowed(const Backend& backend) const;
  void hold_place(Backend* backend);
  void leave_room();

  Pool& pool_;
  WaitingRoom& room_;
  ExchangeOptions options_;

  Stage stage_ = Stage::kReading;
  bool first_ = true;
  ext_proc::BodySendMode request_mode_ = ext_proc::FULL_DUPLEX_STREAMED;
  ext_proc::BodySendMode response_mode_ = ext_proc::FULL_DUPLEX_STREAMED;
  std::optional<std::set<std::string>> subset_;  // addresses that may be picked; none: all
  std::string body_;                             // came and was not passed on
  bool body_ended_ = false;
  bool body_told_ = false;       // its end was passed on
  bool answer_in_body_ = false;  // the endpoint goes with the body's answer, not the headers'
  bool trailers_came_ = false;
  Clock::time_point waits_since_{};
  bool in_room_ = false;
  Backend* backend_ = nullptr;
};

/// Whether `body`, of which more may come, has what prefix_key() reads of it.
bool knows_prefix(std::string_view body);

}  // namespace bundle::gateway::picker
