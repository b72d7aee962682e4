#include "runtime/gateway/picker/picker.h"

#include <algorithm>
#include <set>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "runtime/gateway/picker/exchange.h"
#include "runtime/gateway/picker/ext_proc.pb.h"
#include "runtime/gateway/picker/grpc_server.h"
#include "runtime/gateway/sockets.h"

namespace bundle::gateway::picker {
namespace {

namespace asio = boost::asio;

constexpr char kProcessor[] = "envoy.service.ext_proc.v3.ExternalProcessor";
constexpr std::chrono::milliseconds kTick{100};

/// One request at the data plane.
class ProcessCall final : public GrpcCall {
 public:
  using Register = std::set<ProcessCall*>;

  ProcessCall(GrpcReply& reply, Register& all, Pool& pool, WaitingRoom& room,
              const ExchangeOptions& options)
      : reply_(reply), all_(all), exchange_(pool, room, options) {
    all_.insert(this);
  }
  ~ProcessCall() override { all_.erase(this); }

  void on_message(std::string_view message) override {
    ext_proc::ProcessingRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      reply_.finish(GrpcStatus::kInvalidArgument, "a message is no ProcessingRequest");
      return;
    }
    send(exchange_.take(request));
  }
  void on_end() override { reply_.finish(GrpcStatus::kOk); }

  void look_again() {
    if (exchange_.waits()) send(exchange_.look_again());
  }

 private:
  void send(const Exchange::Answers& answers) {
    for (const auto& answer : answers) reply_.send(answer.SerializeAsString());
  }

  GrpcReply& reply_;
  Register& all_;
  Exchange exchange_;
};

/// grpc.health.v1.Health/Check.
class HealthCall final : public GrpcCall {
 public:
  HealthCall(GrpcReply& reply, bool serves) : reply_(reply), serves_(serves) {}

  void on_message(std::string_view message) override {
    ext_proc::HealthCheckRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return reply_.finish(GrpcStatus::kInvalidArgument, "the message is no HealthCheckRequest");
    }
    const std::string& service = request.service();
    const bool alive_alone = service == "liveness";
    if (!service.empty() && service != "readiness" && service != kProcessor && !alive_alone) {
      return reply_.finish(GrpcStatus::kNotFound, "there is no service " + service);
    }
    ext_proc::HealthCheckResponse response;
    response.set_status(alive_alone || serves_ ? ext_proc::HealthCheckResponse::SERVING
                                               : ext_proc::HealthCheckResponse::NOT_SERVING);
    reply_.send(response.SerializeAsString());
    reply_.finish(GrpcStatus::kOk);
  }
  void on_end() override { reply_.finish(GrpcStatus::kInvalidArgument, "no message came"); }

 private:
  GrpcReply& reply_;
  bool serves_;
};

}  // namespace

class Picker::Impl {
 public:
  Impl(ReplicaWatch& replicas, WaitingRoom& room, const PickerOptions& options)
      : replicas_(replicas),
        room_(room),
        exchange_options_{.hold = options.hold,
                          .startup = options.startup,
                          .endpoints = std::max<std::size_t>(1, options.endpoints)} {}

  Status listen(asio::io_context& context, const PickerOptions& options) {
    BUNDLE_TRY(server_, GrpcServer::start(context, options.host, options.port, methods()));
    port = server_->port();
    asio::co_spawn(context, look_again(), asio::detached);
    return {};
  }

  void begin_drain() {
    draining_ = true;
    server_->begin_drain();
  }
  std::size_t running() const { return calls_.size(); }

  std::uint16_t port = 0;

 private:
  GrpcMethods methods() {
    GrpcMethods methods;
    methods[std::string("/") + kProcessor + "/Process"] = [this](GrpcReply& reply) {
      return std::make_unique<ProcessCall>(reply, calls_, replicas_.pool(), room_,
                                           exchange_options_);
    };
    // It serves without a replica too: one is started for what comes.
    methods["/grpc.health.v1.Health/Check"] = [this](GrpcReply& reply) {
      return std::make_unique<HealthCall>(reply, replicas_.listed() && !draining_);
    };
    return methods;
  }

  asio::awaitable<void> look_again() {
    for (;;) {
      for (ProcessCall* call : calls_) call->look_again();
      co_await sleep(kTick);
    }
  }

  ReplicaWatch& replicas_;
  WaitingRoom& room_;
  ExchangeOptions exchange_options_;
  bool draining_ = false;
  ProcessCall::Register calls_;
  std::unique_ptr<GrpcServer> server_;  // its calls use all of the above
};

Picker::Picker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Picker::~Picker() = default;

Result<std::unique_ptr<Picker>> Picker::start(asio::io_context& context, ReplicaWatch& replicas,
                                              WaitingRoom& room, PickerOptions options) {
  auto impl = std::make_unique<Impl>(replicas, room, options);
  BUNDLE_CHECK(impl->listen(context, options));
  return std::unique_ptr<Picker>(new Picker(std::move(impl)));
}

std::uint16_t Picker::port() const { return impl_->port; }
std::size_t Picker::running() const { return impl_->running(); }
void Picker::begin_drain() { impl_->begin_drain(); }

}  // namespace bundle::gateway::picker
