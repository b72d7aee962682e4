#include "runtime/engine/constraint.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <optional>
#include <unordered_map>
#include <variant>
#include <xgrammar/xgrammar.h>

#include "base/json.h"
#include "runtime/engine/grammar_warnings.h"
#include "runtime/engine/repetition.h"
#include "runtime/engine/worker_thread.h"

namespace bundle::engine {
namespace {

constexpr std::size_t kMostCompiled = 64;  // grammars that are kept
constexpr std::int64_t kMostCacheBytes = 256 << 20;
constexpr int kCompilerThreads = 2;

Error refusal(std::string why) {
  return bad_input("the constraint can not be compiled: " + std::move(why));
}

/// The library's messages begin with a time and a place in its source: "[12:00:00] a.cc:1: what".
std::string plain(std::string_view message) {
  constexpr std::string_view kSource = ".cc:";
  const std::size_t source = message.find(kSource);
  const std::size_t end = source == std::string_view::npos
                              ? std::string_view::npos
                              : message.find(": ", source + kSource.size());
  if (message.starts_with('[') && end != std::string_view::npos) message.remove_prefix(end + 2);
  // An assertion of the library's: its words mean nothing to who sent the constraint.
  if (message.starts_with("Check failed"))
    return "it is beyond the compiler; does a group repeat over 128 times?";
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) {
    message.remove_suffix(1);
  }
  return std::string(message);
}

Status too_many(std::size_t count, const std::string& key) {
  if (count <= kMostAlternatives) return {};
  return refusal("'" + key + "' has " + std::to_string(count) + " alternatives, and may have " +
                 std::to_string(kMostAlternatives));
}

Status too_much_repeated(std::string_view text, const std::string& key) {
  const std::int64_t count = repeated_elements(text);
  if (count <= kMostRepeated) return {};
  return refusal("'" + key + "' repeats a group that comes to " + std::to_string(count) +
                 " elements when it is written out, and may have " + std::to_string(kMostRepeated));
}

Status check_alternatives(const Json& value, const std::string& key) {
  if (const auto* text = value.if_string()) {
    if (key != "pattern" && key != "grammar") return {};
    BUNDLE_CHECK(too_much_repeated(*text, key));
    return too_many(static_cast<std::size_t>(std::count(text->begin(), text->end(), '|')), key);
  }
  if (const auto* list = value.if_array()) {
    BUNDLE_CHECK(too_many(list->size(), key));
    for (const Json& entry : *list) BUNDLE_CHECK(check_alternatives(entry, key));
  }
  if (const auto* object = value.if_object()) {
    for (const auto& [name, member] : *object) {
      BUNDLE_CHECK(check_alternatives(member, std::string(name)));
    }
  }
  return {};
}

Result<xgrammar::Grammar> parse(const std::string& tag) {
  if (tag.size() > kMostConstraintBytes) {
    return refusal("it has " + std::to_string(tag.size()) + " bytes, and may have " +
                   std::to_string(kMostConstraintBytes));
  }
  const auto document = parse_json(tag, "constraint");
  if (!document) return refusal(document.error().message());
  BUNDLE_CHECK(check_alternatives(*document, "constraint"));
  try {
    auto parsed = xgrammar::Grammar::FromStructuralTag(tag);
    if (auto* grammar = std::get_if<xgrammar::Grammar>(&parsed)) return std::move(*grammar);
    return refusal(std::visit([](const auto& problem) { return plain(problem.what()); },
                              std::get<xgrammar::StructuralTagError>(parsed)));
  } catch (const std::exception& problem) {
    return refusal(plain(problem.what()));
  }
}

/// A value that one thread makes and another waits for.
template <typename T>
class Pending {
 public:
  void set(T value) {
    {
      const std::lock_guard lock(mutex_);
      value_.emplace(std::move(value));
    }
    made_.notify_all();
  }
  bool made() const {
    const std::lock_guard lock(mutex_);
    return value_.has_value();
  }
  const T& get() const {
    std::unique_lock lock(mutex_);
    made_.wait(lock, [this] { return value_.has_value(); });
    return *value_;
  }
  void wait(std::chrono::milliseconds limit) const {
    std::unique_lock lock(mutex_);
    made_.wait_for(lock, limit, [this] { return value_.has_value(); });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable made_;
  std::optional<T> value_;
};

struct Compiled {
  xgrammar::CompiledGrammar grammar;
  std::shared_ptr<const ConstraintVocabulary> vocabulary;
};
using PendingCompiled = Pending<Result<Compiled>>;

/// Where a constraint that waits for a text begins to hold.
class Gate {
 public:
  explicit Gate(std::string after) : after_(std::move(after)) {}

  bool open() const { return after_.empty(); }
  /// Takes the next bytes; when they complete the text, gives what follows it.
  std::optional<std::string> take(std::string_view bytes) {
    tail_ += bytes;
    const std::size_t at = tail_.find(after_);
    if (at == std::string::npos) {
      if (tail_.size() > after_.size()) tail_.erase(0, tail_.size() - after_.size());
      return std::nullopt;
    }
    std::string rest = tail_.substr(at + after_.size());
    after_.clear();
    return rest;
  }

 private:
  std::string after_;
  std::string tail_;
};

/// The state of one grammar: a matcher and the mask that it made last. Touched by the mask thread
/// between begin() and the end of the task, by the engine's thread otherwise. The library throws
/// where it meets what it did not expect: the output is free from there on.
class MaskState {
 public:
  MaskState(const Compiled& compiled, std::string after)
      : vocabulary_(compiled.vocabulary),
        matcher_(compiled.grammar),
        mask_(static_cast<std::size_t>(
            xgrammar::GetBitmaskSize(static_cast<int>(compiled.vocabulary->bytes.size())))),
        gate_(std::move(after)) {}

  /// Takes a token that may come; false, and nothing changes, for another. Needs no mask.
  bool try_take(std::int32_t token) {
    if (!gate_.open()) {
      take(token);
      return true;
    }
    if (terminated_) return true;
    const bool known = !vocabulary_->bytes[static_cast<std::size_t>(token)].empty();
    if (!known && !is_end(token)) return false;
    try {
      return matcher_.AcceptToken(token);
    } catch (const std::exception&) {
      terminated_ = true;
      return true;
    }
  }

  void take(std::int32_t token) {
    try {
      if (gate_.open()) {
        // A token that was forced from outside may not fit: the output is free from there on.
        terminated_ = terminated_ || !matcher_.AcceptToken(token);
      } else {
        pass_gate(token);
      }
    } catch (const std::exception&) {
      terminated_ = true;
    }
  }

  void fill() {
    restricts_ = false;
    if (!gate_.open()) return;
    try {
      fill_mask();
    } catch (const std::exception&) {
      terminated_ = true;
      restricts_ = false;
    }
  }

  std::span<const std::int32_t> mask() const {
    return gate_.open() && restricts_ ? std::span<const std::int32_t>(mask_)
                                      : std::span<const std::int32_t>();
  }
  bool allows(std::int32_t token) const {
    const auto bits = mask();
    const auto bit = static_cast<std::uint32_t>(token);
    return bits.empty() || (static_cast<std::uint32_t>(bits[bit / 32]) >> (bit % 32) & 1U) != 0;
  }

  /// Whether an end may come. Where it may not, the output is not complete, and no mask is needed
  /// to see that.
  bool may_end() { return gate_.open() && (terminated_ || matcher_.IsCompleted()); }
  bool complete() const { return gate_.open() && (terminated_ || only_end_); }

 private:
  bool is_end(std::int32_t token) const {
    const auto& ends = vocabulary_->end_ids;
    return std::find(ends.begin(), ends.end(), token) != ends.end();
  }

  void pass_gate(std::int32_t token) {
    const auto rest = gate_.take(vocabulary_->bytes[static_cast<std::size_t>(token)]);
    if (!rest) return;
    const std::size_t begin = rest->find_first_not_of(" \t\r\n");
    if (begin != std::string::npos) matcher_.AcceptString(rest->substr(begin));
  }

  void fill_mask() {
    terminated_ = terminated_ || matcher_.IsTerminated();
    if (terminated_) return;
    std::int64_t shape = static_cast<std::int64_t>(mask_.size());
    DLTensor tensor{};
    tensor.data = mask_.data();
    tensor.device = {kDLCPU, 0};
    tensor.ndim = 1;
    tensor.dtype = {kDLInt, 32, 1};
    tensor.shape = &shape;
    restricts_ = matcher_.FillNextTokenBitmask(&tensor);
    only_end_ = restricts_ && allows_end_alone();
  }

  bool allows_end_alone() const {
    std::vector<std::int32_t> mask = mask_;
    bool any = false;
    for (const std::int32_t id : vocabulary_->end_ids) {
      const auto bit = static_cast<std::uint32_t>(id);
      if (bit / 32 >= mask.size()) continue;
      any |= (static_cast<std::uint32_t>(mask[bit / 32]) >> (bit % 32) & 1U) != 0;
      mask[bit / 32] = static_cast<std::int32_t>(static_cast<std::uint32_t>(mask[bit / 32]) &
                                                 ~(1U << (bit % 32)));
    }
    for (const std::int32_t word : mask) {
      if (word != 0) return false;
    }
    return any;
  }

  std::shared_ptr<const ConstraintVocabulary> vocabulary_;
  xgrammar::GrammarMatcher matcher_;
  std::vector<std::int32_t> mask_;
  Gate gate_;
  bool restricts_ = false;
  bool terminated_ = false;
  bool only_end_ = false;
};

class Output final : public ConstrainedOutput {
 public:
  Output(std::shared_ptr<PendingCompiled> compiled, std::string after, WorkerThread& masks)
      : compiled_(std::move(compiled)), after_(std::move(after)), masks_(masks) {}

  State state() override {
    if (!compiled_->made()) return State::kCompiling;
    if (compiled_->get().has_error()) return State::kFailed;
    if (state_ == nullptr) {
      state_ = std::make_shared<MaskState>(*compiled_->get(), after_);
    }
    return State::kReady;
  }
  Error error() const override { return compiled_->get().error(); }
  void wait(std::chrono::milliseconds limit) override { compiled_->wait(limit); }

  bool try_take(std::int32_t id) override {
    if (mask_ == nullptr) return state_->try_take(id);
    wait_for_mask();
    if (!state_->allows(id)) return false;
    // It fits, so the next one may, too: no mask is made before it is asked for.
    mask_ = nullptr;
    state_->take(id);
    return true;
  }
  std::span<const std::int32_t> mask() override {
    if (mask_ == nullptr) begin_mask(std::nullopt);
    wait_for_mask();
    return state_->mask();
  }
  void take(std::int32_t id) override {
    wait_for_mask();
    begin_mask(id);
  }
  bool complete() override {
    wait_for_mask();
    if (!state_->may_end()) return false;
    mask();
    return state_->complete();
  }

 private:
  void wait_for_mask() const {
    if (mask_ != nullptr) mask_->get();
  }

  /// On the mask thread: takes the token and makes the mask for what follows it. State and mark
  /// live as long as the task, whatever becomes of this output.
  void begin_mask(std::optional<std::int32_t> token) {
    mask_ = std::make_shared<Pending<bool>>();
    masks_.post([state = state_, done = mask_, token] {
      if (token) state->take(*token);
      state->fill();
      done->set(true);
    });
  }

  std::shared_ptr<PendingCompiled> compiled_;
  std::string after_;
  WorkerThread& masks_;
  std::shared_ptr<MaskState> state_;
  std::shared_ptr<Pending<bool>> mask_;  // for the next token; null: none was begun
};

}  // namespace

Status check_constraint(const std::string& tag, Unheld unheld) {
  const GrammarWarnings warnings;
  const auto grammar = parse(tag);
  if (!grammar) return grammar.error();
  if (unheld == Unheld::kLeftOut || warnings.all().empty()) return {};
  return refusal("no output could be held to a part of it: " + warnings.all().front());
}

class ConstraintCompiler::Impl {
 public:
  explicit Impl(LoadVocabulary load) : load_(std::move(load)) {}

  std::unique_ptr<ConstrainedOutput> begin(const OutputConstraint& constraint) {
    return std::make_unique<Output>(compiled(constraint.tag), constraint.after, masks_);
  }

 private:
  /// Compiled before, or begun now.
  std::shared_ptr<PendingCompiled> compiled(const std::string& tag) {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(tag);
    if (found != known_.end()) return found->second;
    if (known_.size() >= kMostCompiled) known_.clear();
    auto pending = std::make_shared<PendingCompiled>();
    known_.emplace(tag, pending);
    // In turns, so that one that takes long does not hold up all others.
    compiling_[next_++ % compiling_.size()].post(
        [this, tag, task = std::weak_ptr<PendingCompiled>(pending)] {
          if (const auto wanted = take_if_wanted(tag, task)) wanted->set(compile(tag));
        });
    return pending;
  }

  /// Null when no output waits for it, and then it is forgotten. Outputs hold it, and the list of
  /// what is known does until it is cleared.
  std::shared_ptr<PendingCompiled> take_if_wanted(const std::string& tag,
                                                  const std::weak_ptr<PendingCompiled>& task) {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(tag);
    const bool known = found != known_.end() && found->second == task.lock();
    if (!known || task.use_count() > 1) return task.lock();
    known_.erase(found);
    return nullptr;
  }

  /// On the compiling threads alone.
  Result<Compiled> compile(const std::string& tag) {
    BUNDLE_CHECK(load());
    BUNDLE_TRY(xgrammar::Grammar grammar, parse(tag));
    try {
      Compiled compiled{compiler_->CompileGrammar(grammar), vocabulary_};
      if (!allows_anything(compiled)) return refusal("no output fits it");
      return compiled;
    } catch (const std::exception& problem) {
      return refusal(plain(problem.what()));
    }
  }

  static bool allows_anything(const Compiled& compiled) {
    MaskState state(compiled, "");
    state.fill();
    const auto mask = state.mask();
    return mask.empty() ||
           std::any_of(mask.begin(), mask.end(), [](auto word) { return word != 0; });
  }

  Status load() {
    const std::lock_guard lock(loading_);
    if (compiler_) return {};
    BUNDLE_TRY(ConstraintVocabulary loaded, load_());
    vocabulary_ = std::make_shared<const ConstraintVocabulary>(std::move(loaded));
    const xgrammar::TokenizerInfo info(vocabulary_->bytes, xgrammar::VocabType::RAW,
                                       static_cast<int>(vocabulary_->bytes.size()),
                                       vocabulary_->end_ids);
    compiler_.emplace(info, 1, true, kMostCacheBytes);
    return {};
  }

  LoadVocabulary load_;
  std::shared_ptr<const ConstraintVocabulary> vocabulary_;
  std::optional<xgrammar::GrammarCompiler> compiler_;
  std::mutex loading_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<PendingCompiled>> known_;
  std::size_t next_ = 0;
  WorkerThread masks_;
  std::array<WorkerThread, kCompilerThreads> compiling_;  // last: its tasks use all of the above
};

ConstraintCompiler::ConstraintCompiler(LoadVocabulary load)
    : impl_(std::make_unique<Impl>(std::move(load))) {}
ConstraintCompiler::~ConstraintCompiler() = default;

std::unique_ptr<ConstrainedOutput> ConstraintCompiler::begin(const OutputConstraint& constraint) {
  return impl_->begin(constraint);
}

}  // namespace bundle::engine
