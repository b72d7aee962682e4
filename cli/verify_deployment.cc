#include "cli/verify_deployment.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/file.h"
#include "base/text.h"
#include "cli/display/deployment.h"
#include "cli/display/table.h"
#include "cli/interrupt.h"
#include "cli/open_stream.h"
#include "cloud/canary.h"

namespace bundle::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kPoll{20};
constexpr milliseconds kBetweenKnocks{100};
constexpr std::chrono::seconds kBeginLimit{120};
constexpr std::size_t kShownBytes = 60;

/// Short requests, one after another, for as long as a roll lasts: whoever comes meanwhile.
class Knocks {
 public:
  explicit Knocks(StreamRequest request) : request_(std::move(request)) {
    if (!request_.url.empty()) thread_ = std::thread([this] { run(); });
  }
  ~Knocks() { stop(); }

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  int answered = 0;
  std::vector<std::string> lost;  // why

 private:
  void run() {
    while (!stop_ && !interrupted()) {
      OpenStream one(request_);
      const StreamReport& report = one.wait();
      if (report.whole) {
        ++answered;
      } else {
        lost.push_back(report.error);
      }
      std::this_thread::sleep_for(kBetweenKnocks);
    }
  }

  const StreamRequest request_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

/// One stream and what came of it.
struct Watched {
  std::string url;
  std::unique_ptr<OpenStream> stream;
  bool was_open = false;  // when the roll began
};

struct Verdict {
  std::vector<Watched> streams;
  int answered = 0;
  std::vector<std::string> lost;
  bool answers_after = false;
  bool same_after = false;

  int cut() const {
    return static_cast<int>(std::count_if(streams.begin(), streams.end(), [](const Watched& one) {
      return !one.stream->wait().whole;
    }));
  }
  int open() const {
    return static_cast<int>(std::count_if(streams.begin(), streams.end(),
                                          [](const Watched& one) { return one.was_open; }));
  }
  bool good() const { return cut() == 0 && lost.empty() && answers_after; }
};

Result<std::string> first_key(const std::string& file) {
  if (file.empty()) return std::string();
  BUNDLE_TRY(const std::string keys, read_file(file, 1u << 20));
  return keys.substr(0, keys.find('\n'));
}

/// Streams ask each a thing of its own, so that none lives on another's cache alone.
std::string question(const RollArguments& arguments, int index) {
  return arguments.message + " (" + std::to_string(index + 1) + ")";
}

/// Opens the streams over the addresses in turn, and waits until each has text.
Status open_streams(const std::vector<std::string>& urls, const RollArguments& arguments,
                    const std::string& key, const Progress& progress, Verdict& verdict) {
  for (int i = 0; i < arguments.streams; ++i) {
    const std::string& url = urls[static_cast<std::size_t>(i) % urls.size()];
    verdict.streams.push_back({url, std::make_unique<OpenStream>(StreamRequest{
                                        url, question(arguments, i), key, arguments.tokens})});
  }
  const auto until = Clock::now() + kBeginLimit;
  for (;;) {
    const auto waits = std::count_if(
        verdict.streams.begin(), verdict.streams.end(),
        [](const Watched& one) { return !one.stream->begun() && !one.stream->over(); });
    if (waits == 0) break;
    if (progress && !progress("opening streams", 0, 0)) {
      return Error{ErrorCode::kInterrupted, "stopped; nothing was rolled"};
    }
    if (Clock::now() > until) return failed("no text came on the streams in time");
    std::this_thread::sleep_for(kPoll);
  }
  for (Watched& one : verdict.streams) {
    one.was_open = !one.stream->over();
    // One that ended badly before the roll would count against it.
    if (!one.was_open && !one.stream->wait().whole) {
      return failed("a stream could not be opened: " + one.stream->wait().error, one.url,
                    "Nothing was rolled.");
    }
  }
  if (verdict.open() > 0) return {};
  return failed("every stream had ended before the roll could begin", "",
                "Ask for longer ones with --tokens. Nothing was rolled.");
}

/// The roll is over: the endpoint answers, and as before. `urls` are those of now: a pod's
/// successor has another address; in most places the first is there still.
void ask_again(const std::vector<std::string>& urls, const RollArguments& arguments,
               const std::string& key, Verdict& verdict) {
  const Watched& first = verdict.streams.front();
  const bool stays = std::find(urls.begin(), urls.end(), first.url) != urls.end();
  OpenStream again(
      {stays ? first.url : urls.front(), question(arguments, 0), key, arguments.tokens});
  const StreamReport& report = again.wait();
  verdict.answers_after = report.whole;
  verdict.same_after = report.whole && report.text == first.stream->wait().text;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (text.size() <= kShownBytes) return text;
  return text.substr(0, complete_utf8_prefix(text.substr(0, kShownBytes))) + "…";
}

Json to_json(const std::string& name, std::int64_t revision, const Verdict& verdict) {
  JsonArray streams;
  for (const Watched& one : verdict.streams) {
    const StreamReport& report = one.stream->wait();
    streams.push_back(JsonObject{{"url", one.url},
                                 {"whole", report.whole},
                                 {"open_at_roll", one.was_open},
                                 {"answer", report.text},
                                 {"error", report.error}});
  }
  JsonArray lost;
  for (const std::string& why : verdict.lost) lost.emplace_back(why);
  return JsonObject{{"deployment", name},
                    {"revision", revision},
                    {"streams", std::move(streams)},
                    {"open_at_roll", verdict.open()},
                    {"cut", verdict.cut()},
                    {"answered_meanwhile", verdict.answered},
                    {"lost_meanwhile", std::move(lost)},
                    {"answers_after", verdict.answers_after},
                    {"same_answer_after", verdict.same_after},
                    {"verified", verdict.good()}};
}

std::string text_of(const std::string& name, std::int64_t revision, const RollArguments& arguments,
                    const Verdict& verdict) {
  std::vector<std::vector<std::string>> rows;
  for (const Watched& one : verdict.streams) {
    const StreamReport& report = one.stream->wait();
    rows.push_back({one.url, one.was_open ? "yes" : "no", report.whole ? "whole" : "CUT",
                    one_line(report.whole ? report.text : report.error)});
  }
  std::string text = table({"STREAM", "OPEN AT THE ROLL", "END", "ANSWER"}, rows);
  if (!arguments.through.empty()) {
    text += std::to_string(verdict.answered) + " requests were answered meanwhile, " +
            std::to_string(verdict.lost.size()) + " were lost\n";
    if (!verdict.lost.empty()) text += "  " + one_line(verdict.lost.front()) + "\n";
  }
  text += !verdict.answers_after ? "the endpoint does not answer after the roll\n"
          : verdict.same_after   ? "the endpoint answers as before the roll\n"
                                 : "the endpoint answers, otherwise than before the roll\n";
  const std::string number = std::to_string(revision);
  return text + (verdict.good()
                     ? "verified: " + name + " rolled revision " + number + " under " +
                           std::to_string(verdict.open()) + " open streams, none was cut\n"
                     : "FAILED: " + std::to_string(verdict.cut()) + " of " +
                           std::to_string(verdict.streams.size()) + " streams were cut, " +
                           std::to_string(verdict.lost.size()) + " requests were lost\n");
}

cloud::DeploymentPlan plan_of(const cloud::DeploymentStatus& now, const RollArguments& arguments) {
  cloud::DeploymentPlan plan;
  plan.deployment = now.name;
  plan.revision = now.revision;
  plan.changes = true;
  plan.steps = {"open " + std::to_string(arguments.streams) + " streams of " +
                    std::to_string(arguments.tokens) + " tokens" +
                    (arguments.through.empty() ? "" : " through " + arguments.through),
                "drain and start again each replica of revision " + std::to_string(now.revision),
                "wait for the streams' ends, and ask once more"};
  if (arguments.through.empty()) {
    plan.notes.emplace_back(
        "new requests find a replica away while it is replaced; with --through "
        "a gateway it is shown that they are answered too");
  }
  return plan;
}

Result<std::vector<std::string>> addresses(const cloud::Provider& provider, const std::string& name,
                                           const std::string& through) {
  if (through.empty()) {
    BUNDLE_TRY(auto urls, provider.endpoints(name));
    if (urls.empty()) return failed("'" + name + "' has no address to open streams on");
    return urls;
  }
  std::string url = through;
  while (url.ends_with('/')) url.pop_back();
  return std::vector<std::string>{std::move(url)};
}

}  // namespace

void add_roll_options(CLI::App& command, RollArguments& arguments) {
  command.add_option("--streams", arguments.streams, "Streams that are open while it rolls")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command.add_option("--tokens", arguments.tokens, "Tokens of each stream")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  command.add_option("--message", arguments.message, "What the streams ask")->capture_default_str();
  command
      .add_option("--through", arguments.through,
                  "Open them through a gateway, and show that new requests are answered meanwhile")
      ->type_name("URL");
  command.add_option("--api-key-file", arguments.api_key_file, "The first line is the key to use")
      ->check(CLI::ExistingFile);
  add_place_options(command, arguments.place);
  add_apply_options(command, arguments.apply);
}

Result<Outcome> verify_deployment(const std::string& name, const RollArguments& arguments,
                                  const Session& session) {
  BUNDLE_TRY(const cloud::Place place, find_place(name, arguments.place));
  BUNDLE_TRY(const auto provider, open_provider(place));
  BUNDLE_TRY(const auto now, provider->status(name));
  if (!now.ready) return failed("'" + name + "' is not ready: " + now.message, now.url);
  const auto plan = plan_of(now, arguments);
  if (arguments.apply.plan) return Outcome{cloud::to_json(plan), plan_text(plan)};
  BUNDLE_CHECK(confirm(plan, place, arguments.apply));
  BUNDLE_TRY(const std::string key, first_key(arguments.api_key_file));
  BUNDLE_TRY(const auto urls, addresses(*provider, name, arguments.through));
  Verdict verdict;
  BUNDLE_CHECK(open_streams(urls, arguments, key, session.progress(), verdict));
  const bool knocks_come = !arguments.through.empty();
  Knocks knocks({knocks_come ? urls.front() : "", arguments.message, key, 1});
  const auto rolled = provider->restart(name, session.progress());
  for (const Watched& one : verdict.streams) (void)one.stream->wait();
  knocks.stop();
  if (!rolled) return rolled.error();
  verdict.answered = knocks.answered;
  verdict.lost = knocks.lost;
  BUNDLE_TRY(const auto urls_now, addresses(*provider, name, arguments.through));
  ask_again(urls_now, arguments, key, verdict);
  if (interrupted()) return Error{ErrorCode::kInterrupted, "stopped after the roll"};
  Outcome outcome{to_json(name, now.revision, verdict),
                  text_of(name, now.revision, arguments, verdict)};
  outcome.exit_code = verdict.good() ? 0 : static_cast<int>(ErrorCode::kFailed);
  return outcome;
}

}  // namespace bundle::cli
