#include "runtime/launch/engine_io.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "runtime/comm/shared_memory.h"

namespace bundle::launch {
namespace {

using engine::FinishReason;
namespace wire = engine::wire;

constexpr auto kLongestBackoff = std::chrono::milliseconds(1000);
constexpr auto kQuick = std::chrono::milliseconds(1000);  // of being ready, without a request
constexpr auto kLastWords = std::chrono::milliseconds(1000);
constexpr auto kFarewell = std::chrono::milliseconds(300);  // for an engine to end by itself
/// The same where it is to tell the ranks of other machines.
constexpr auto kGroupFarewell = std::chrono::milliseconds(5000);

/// Waits until the descriptor can be read; false when the time is over.
bool wait_readable(int fd, std::chrono::milliseconds limit) {
  pollfd wanted{fd, POLLIN, 0};
  return ::poll(&wanted, 1, static_cast<int>(limit.count())) > 0;
}

}  // namespace

EngineProcess::Io::Io(EngineProcessOptions options)
    : options_(std::move(options)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      next_start_(Clock::now()),
      thread_([this] { loop(); }) {}

EngineProcess::Io::~Io() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void EngineProcess::Io::post(Order order) {
  {
    const std::lock_guard lock(mutex_);
    orders_.push_back(std::move(order));
  }
  ::eventfd_write(wake_.get(), 1);
}

void EngineProcess::Io::loop() {
  while (take_orders()) {
    if (next_start_ && Clock::now() >= *next_start_) start_engine();
    const bool wrote = running_ && write_out();
    const bool read = running_ && read_in();
    board_.set_in_flight(static_cast<std::int64_t>(flights_.size()));
    if (wrote || read) continue;
    check_pulse();
    sleep();
  }
  end_engine();
  flights_.end_all(FinishReason::kAborted, "");
}

/// False when the client goes.
bool EngineProcess::Io::take_orders() {
  std::vector<Order> orders;
  bool go_on = true;
  {
    const std::lock_guard lock(mutex_);
    orders.swap(orders_);
    go_on = !stopping_;
  }
  for (Order& order : orders) std::visit([this](auto& o) { carry_out(o); }, order);
  if (!orders.empty()) send_waiting();
  return go_on;
}

void EngineProcess::Io::carry_out(Submission& submission) {
  flights_.add(std::move(submission.request), std::move(submission.on_event));
  if (const auto failure = board_.failure()) {
    flights_.end_all(FinishReason::kError, failure->message());
  }
}

void EngineProcess::Io::carry_out(const Abort& abort) {
  // A submission before it in the same orders may not have been sent yet: it simply ends here.
  if (flights_.abort(abort.id)) send(wire::encode_abort(abort.id));
}

void EngineProcess::Io::send_waiting() {
  if (!running_ || !running_->ready || running_->broken) return;
  if (flights_.started() == 0) running_->last_beat = Clock::now();
  for (const engine::Request* request : flights_.start_waiting())
    send(wire::encode_submit(*request));
}

void EngineProcess::Io::send(std::string frame) {
  if (!running_ || running_->broken) return;
  if (running_->outgoing.empty()) {
    running_->outgoing = std::move(frame);
  } else {
    running_->outgoing += frame;
  }
}

Result<EngineProcess::Io::Running> EngineProcess::Io::spawn() const {
  if (!wake_) return failed("cannot make an eventfd");
  BUNDLE_TRY(Channel channel, Channel::create(options_.ring_bytes));
  BUNDLE_TRY(const Fd spec, memory_file(options_.spec));
  Fd memory, group;  // of the ranks: one of the two
  EngineFds fds{.spec = &spec};
  if (!options_.group.empty()) {
    BUNDLE_TRY(group, memory_file(options_.group));
    fds.group = &group;
  } else if (options_.ranks > 1) {
    BUNDLE_TRY(memory, comm::make_shared_memory(options_.ranks));
    fds.ranks = &memory;
  }
  EngineFds first = fds;
  first.channel = &channel.fds();
  BUNDLE_TRY(EngineChild child, EngineChild::spawn(options_.command, first, options_.first_rank));
  std::vector<EngineChild> others;
  for (int rank = 1; rank < options_.ranks; ++rank) {
    BUNDLE_TRY(EngineChild other,
               EngineChild::spawn(options_.command, fds, options_.first_rank + rank));
    others.push_back(std::move(other));
  }
  return Running{
      std::move(child), std::move(others), std::make_shared<Channel>(std::move(channel)), {}, {}};
}

void EngineProcess::Io::start_engine() {
  next_start_.reset();
  auto started = spawn();
  if (!started) return give_up(started.error());
  running_ = std::move(*started);
  board_.engine_started(running_->channel, running_->child.pid(), starts_++ > 0);
  changed();
}

/// True when bytes went out.
bool EngineProcess::Io::write_out() {
  Running& engine = *running_;
  if (engine.outgoing.empty() || engine.broken) return false;
  const auto left = as_bytes(engine.outgoing).subspan(engine.sent);
  const auto written = engine.channel->write(left);
  if (!written) return break_off(written.error()), false;
  engine.sent += *written;
  if (engine.sent == engine.outgoing.size()) {
    engine.outgoing.clear();
    engine.sent = 0;
  }
  return *written > 0;
}

/// True when bytes came in.
bool EngineProcess::Io::read_in() {
  if (running_->broken) return false;
  std::array<std::byte, 1 << 16> buffer;
  const auto got = running_->channel->read(buffer);
  if (!got) return break_off(got.error()), false;
  if (*got == 0) return false;
  const Status fed = running_->frames.feed(std::span(buffer).first(*got));
  for (const wire::Frame& frame : running_->frames.take()) {
    if (!running_->broken) handle(frame);
  }
  if (!fed) break_off(fed.error());
  return true;
}

void EngineProcess::Io::handle(const wire::Frame& frame) {
  const Bytes body = as_bytes(frame.body);
  if (frame.kind == wire::Kind::kEvent) {
    auto event = wire::decode_event(body);
    if (!event) return break_off(event.error());
    if (event->finish != FinishReason::kNone) running_->answered = true;
    return flights_.deliver(std::move(*event));
  }
  if (frame.kind == wire::Kind::kReady) return became_ready();
  if (frame.kind == wire::Kind::kFailure) {
    running_->failure = wire::decode_failure(body);
    return;
  }
  if (frame.kind == wire::Kind::kReleased) {
    running_->released = true;
    return;
  }
  if (frame.kind != wire::Kind::kProgress) return break_off(failed("an unknown message"));
  auto progress = wire::decode_progress(body);
  if (!progress) return break_off(progress.error());
  board_.engine_progressed(std::move(*progress));
}

void EngineProcess::Io::became_ready() {
  running_->ready = true;
  running_->ready_at = Clock::now();
  was_ready_ = true;
  board_.engine_is_ready();
  send_waiting();
  changed();
}

/// An engine that sends nonsense is beyond trust: its death is then heard as any other.
void EngineProcess::Io::break_off(const Error& error) {
  log_error("engine process " + std::to_string(running_->child.pid()) + ": " + error.message());
  running_->broken = true;
  running_->child.kill();
}

/// Where a rank ended with an error, the first one is about to say which.
void EngineProcess::Io::hear_last_words() {
  const auto& others = running_->others;
  const bool killed = std::any_of(others.begin(), others.end(),
                                  [](const EngineChild& child) { return child.killed(); });
  if (!killed) wait_readable(running_->child.pidfd(), kLastWords);
}

void EngineProcess::Io::engine_died() {
  hear_last_words();
  while (read_in()) {
  }
  Running dead = std::move(*running_);
  running_.reset();
  board_.engine_died();
  const std::string how = reap_all(dead);
  if (dead.released) {
    board_.was_released();
    return changed();
  }
  plan_restart(dead, how);
  flights_.engine_died("the engine process " + how + " while it answered");
  if (const auto failure = board_.failure()) {
    flights_.end_all(FinishReason::kError, failure->message());
  }
  changed();
}

/// Ends those that still run, and says how the one died that took the others along: a rank that was
/// killed before one that gave up for its sake.
std::string EngineProcess::Io::reap_all(Running& dead) const {
  std::string cause;
  bool cause_killed = false;
  const auto reap = [&](EngineChild& child, const std::string& name) {
    const bool by_itself = child.dead(), killed = child.killed();
    child.kill();
    const std::string how = child.reap();
    if (!by_itself || cause_killed || (!cause.empty() && !killed)) return;
    cause = name + how;
    cause_killed = killed;
  };
  reap(dead.child, "");
  for (std::size_t i = 0; i < dead.others.size(); ++i) {
    const int rank = options_.first_rank + static_cast<int>(i) + 1;
    reap(dead.others[i], "(rank " + std::to_string(rank) + ") ");
  }
  // Then the first rank could only say that another was gone.
  if (cause_killed) dead.failure.reset();
  return cause;
}

/// What the first engine cannot load, the next could not either; but another machine may come back.
bool EngineProcess::Io::is_final(const Running& dead) const {
  const bool group = !options_.group.empty();
  const bool lost = dead.failure && dead.failure->code == ErrorCode::kUnreachable;
  return dead.failure && !was_ready_ && !(group && lost);
}

void EngineProcess::Io::plan_restart(const Running& dead, const std::string& how) {
  if (is_final(dead)) return give_up(*dead.failure);
  const bool unprovoked = !dead.answered && flights_.started() == 0;
  const bool quick = !dead.ready || (unprovoked && Clock::now() - dead.ready_at < kQuick);
  quick_deaths_ = quick ? quick_deaths_ + 1 : 0;
  const std::string why = dead.failure ? dead.failure->message() : how;
  if (quick_deaths_ >= options_.most_quick_deaths) {
    return give_up(failed("the engine process died " + std::to_string(quick_deaths_) +
                              " times in a row; the last one: " + why,
                          "", "See the log above for what it said before."));
  }
  const auto doubled = options_.backoff * (1 << std::clamp(quick_deaths_ - 1, 0, 10));
  const auto wait = quick_deaths_ == 0
                        ? std::chrono::milliseconds(0)
                        : std::min<std::chrono::milliseconds>(doubled, kLongestBackoff);
  log_error("the engine process " + why + "; starting it again");
  next_start_ = Clock::now() + wait;
}

void EngineProcess::Io::give_up(Error error) {
  board_.given_up(error);
  flights_.end_all(FinishReason::kError, error.message());
  changed();
}

/// Kills an engine that has requests and has not finished a step for too long.
void EngineProcess::Io::check_pulse() {
  if (!running_ || !running_->ready || running_->broken || flights_.started() == 0) return;
  const auto now = Clock::now();
  const std::uint64_t beat = running_->channel->heartbeat();
  if (beat != running_->heartbeat) {
    running_->heartbeat = beat;
    running_->last_beat = now;
  }
  if (now - running_->last_beat < options_.step_limit) return;
  break_off(
      failed("no step was finished for " + std::to_string(options_.step_limit.count()) + " ms"));
}

/// How long nothing needs to be looked at; none: until something happens.
std::optional<std::chrono::milliseconds> EngineProcess::Io::nap() const {
  using std::chrono::milliseconds;
  if (next_start_) {
    const auto left = std::chrono::ceil<milliseconds>(*next_start_ - Clock::now());
    return std::max(left, milliseconds(0));
  }
  if (running_ && running_->ready && flights_.started() > 0) {
    return std::max(options_.step_limit / 4, milliseconds(1));
  }
  return std::nullopt;
}

void EngineProcess::Io::sleep() {
  std::vector<pollfd> wanted{{wake_.get(), POLLIN, 0}, {-1, 0, 0}, {-1, 0, 0}};
  bool may_sleep = true;
  if (running_) {
    wanted[1] = {running_->child.pidfd(), POLLIN, 0};
    wanted[2] = {running_->channel->bell(), POLLIN, 0};
    if (!running_->broken)
      may_sleep = running_->channel->fall_asleep(true, !running_->outgoing.empty());
    for (const EngineChild& other : running_->others) wanted.push_back({other.pidfd(), POLLIN, 0});
  }
  const auto limit = nap();
  const int timeout = !may_sleep ? 0 : limit ? static_cast<int>(limit->count()) : -1;
  ::poll(wanted.data(), wanted.size(), timeout);
  if (wanted[0].revents != 0) {
    eventfd_t ignored = 0;
    ::eventfd_read(wake_.get(), &ignored);
  }
  if (!running_) return;
  const bool first_died = wanted[1].revents != 0;
  running_->channel->wake_up();
  wanted.erase(wanted.begin(), wanted.begin() + 3);
  const bool died = std::any_of(wanted.begin(), wanted.end(),
                                [](const pollfd& child) { return child.revents != 0; });
  if (died || first_died) engine_died();
}

void EngineProcess::Io::end_engine() {
  if (!running_) return;
  send(wire::encode_stop());
  write_out();
  const bool tells_others = !options_.group.empty() && options_.first_rank == 0;
  const auto farewell = tells_others ? kGroupFarewell : kFarewell;
  if (!wait_readable(running_->child.pidfd(), farewell)) running_->child.kill();
  running_->child.reap();
  running_.reset();
  board_.engine_died();
}

void EngineProcess::Io::changed() const {
  if (options_.on_change) options_.on_change();
}

}  // namespace bundle::launch
