// Running a program: a loop over instructions with a stack of places to go back to. Looks and
// atomic groups call it again, as deep as the pattern nests.
#include "runtime/tokenizer/regex.h"

#include <algorithm>
#include <bit>

#include "runtime/tokenizer/regex_program.h"

namespace bundle::tokenizer {
namespace {

// Steps that a text may take: a generous constant and so many for each byte. Published patterns
// stay under ten a byte.
constexpr std::uint64_t kBudget = 50'000'000;
constexpr std::uint64_t kBudgetPerByte = 512;

enum FrameKind : std::uint32_t {
  kResume,    // at pc
  kShorten,   // a greedy run gives back one character, down to `extra`
  kLengthen,  // a lazy run takes one more, up to `extra` times
  kBranch,    // the branches of mask `extra` are left
  kRestore,   // registers[pc] = extra
};

}  // namespace

class RegexMachine {
 public:
  explicit RegexMachine(RegexScanner& scanner)
      : program_(*scanner.program_),
        text_(scanner.text_),
        stack_(scanner.stack_),
        registers_(scanner.registers_),
        budget_(scanner.budget_) {}

  // The end of a match of the program at pc, from `position`.
  std::optional<std::size_t> run(std::uint32_t pc, std::size_t position) {
    const std::size_t base = stack_.size();
    pc_ = pc;
    position_ = position;
    for (;;) {
      if (budget_ == 0) break;
      --budget_;
      const RegexInstruction& instruction = program_.code[pc_];
      if (instruction.op == RegexOp::kMatch) {
        stack_.resize(base);
        return position_;
      }
      if (!step(instruction) && !go_back(base)) break;
    }
    stack_.resize(base);
    return std::nullopt;
  }

 private:
  bool step(const RegexInstruction& in) {
    switch (in.op) {
      case RegexOp::kByte:
        if (position_ == text_.size() || text_[position_] != in.byte) return false;
        ++position_;
        break;
      case RegexOp::kSet:
        if (!take_one(program_.sets[in.x])) return false;
        break;
      case RegexOp::kRun:
        return step_run(in);
      case RegexOp::kJump:
        pc_ = in.x;
        return true;
      case RegexOp::kSplit:
        push(kResume, in.y, position_, 0);
        pc_ = in.x;
        return true;
      case RegexOp::kChoose:
        return choose(in.x, viable(program_.choices[in.x]));
      case RegexOp::kLook:
        return step_look(in);
      case RegexOp::kAtomic:
        return step_atomic(in);
      case RegexOp::kAssert:
        if (!holds(in.place)) return false;
        break;
      case RegexOp::kMark:
        push(kRestore, in.x, 0, registers_[in.x]);
        registers_[in.x] = position_;
        break;
      case RegexOp::kProgress:
        // An empty round ends the loop; it does not fail it.
        if (registers_[in.x] == position_) {
          pc_ = loop_exit();
          return true;
        }
        break;
      case RegexOp::kMatch:
        break;
    }
    ++pc_;
    return true;
  }

  // kProgress is followed by the jump back to the loop's split, whose other way leads out.
  std::uint32_t loop_exit() const {
    const std::uint32_t split = program_.code[pc_ + 1].x;
    const RegexInstruction& in = program_.code[split];
    return in.x == split + 1 ? in.y : in.x;
  }

  void push(std::uint32_t kind, std::uint32_t pc, std::size_t position, std::size_t extra) {
    stack_.push_back({kind, pc, position, extra});
  }

  bool take_one(const CharBitmap& set) {
    if (position_ == text_.size()) return false;
    const auto byte = static_cast<unsigned char>(text_[position_]);
    if (byte < 0x80) {
      if (!set.contains_ascii(byte)) return false;
      ++position_;
      return true;
    }
    const Decoded next = decode_utf8(text_.data() + position_);
    if (!set.contains(next.c)) return false;
    position_ += next.length;
    return true;
  }

  bool step_run(const RegexInstruction& in) {
    const CharBitmap& set = program_.sets[in.x];
    const std::size_t start = position_;
    std::uint32_t count = 0;
    std::size_t least = start;
    const std::uint32_t want = in.greed == RegexGreed::kLazy ? in.min : in.max;
    while (count < want) {
      if (count == in.min) least = position_;
      if (!take_one(set)) break;
      ++count;
    }
    if (count < in.min) return false;
    if (count == in.min) least = position_;
    spend((position_ - start) / 8);
    ++pc_;
    if (in.greed == RegexGreed::kGreedy && position_ > least) {
      push(kShorten, pc_, position_, least);
    } else if (in.greed == RegexGreed::kLazy && in.max > in.min) {
      push(kLengthen, pc_ - 1, position_, in.max - in.min);
    }
    return true;
  }

  void spend(std::uint64_t steps) { budget_ -= std::min(budget_, steps); }

  std::uint32_t viable(const RegexChoice& choice) const {
    if (position_ == text_.size()) return choice.at_end;
    const auto byte = static_cast<unsigned char>(text_[position_]);
    return byte < 0x80 ? choice.by_ascii[byte] : choice.by_other;
  }

  bool choose(std::uint32_t index, std::uint32_t mask) {
    if (mask == 0) return false;
    const std::uint32_t rest = mask & (mask - 1);
    if (rest != 0) push(kBranch, index, position_, rest);
    pc_ = program_.choices[index].targets[static_cast<std::size_t>(std::countr_zero(mask))];
    return true;
  }

  bool step_look(const RegexInstruction& in) {
    const std::uint32_t pc = pc_;
    const std::size_t here = position_;
    const std::optional<std::size_t> from = in.behind ? back_by(in.min) : here;
    const bool matched = from && run(pc + 1, *from).has_value();
    pc_ = in.x;
    position_ = here;
    return matched != in.negated;
  }

  bool step_atomic(const RegexInstruction& in) {
    const std::optional<std::size_t> end = run(pc_ + 1, position_);
    if (!end) return false;
    pc_ = in.x;
    position_ = *end;
    return true;
  }

  std::optional<std::size_t> back_by(std::uint32_t characters) const {
    std::size_t at = position_;
    for (; characters > 0; --characters) {
      if (at == 0) return std::nullopt;
      at = previous_char(text_, at);
    }
    return at;
  }

  bool holds(RegexPlace place) const {
    const bool at_end = position_ == text_.size();
    switch (place) {
      case RegexPlace::kTextBegin:
        return position_ == 0;
      case RegexPlace::kTextEnd:
        return at_end;
      case RegexPlace::kTextEndOrLastNewline:
        return at_end || (position_ + 1 == text_.size() && text_[position_] == '\n');
      case RegexPlace::kLineBegin:
        return position_ == 0 || text_[position_ - 1] == '\n';
      case RegexPlace::kLineEnd:
        return at_end || text_[position_] == '\n';
      case RegexPlace::kWordBorder:
        return word_before() != word_after();
      case RegexPlace::kNoWordBorder:
        return word_before() == word_after();
    }
    return false;
  }

  bool is_word_at(std::size_t at) const {
    return program_.words->contains(decode_utf8(text_.data() + at).c);
  }
  bool word_before() const { return position_ > 0 && is_word_at(previous_char(text_, position_)); }
  bool word_after() const { return position_ < text_.size() && is_word_at(position_); }

  bool go_back(std::size_t base) {
    while (stack_.size() > base) {
      RegexScanner::Backtrack frame = stack_.back();
      stack_.pop_back();
      position_ = frame.position;
      pc_ = frame.pc;
      switch (frame.kind) {
        case kRestore:
          registers_[frame.pc] = frame.extra;
          continue;
        case kResume:
          return true;
        case kShorten:
          position_ = previous_char(text_, position_);
          if (position_ > frame.extra) push(kShorten, frame.pc, position_, frame.extra);
          return true;
        case kLengthen:
          if (!take_one(program_.sets[program_.code[frame.pc].x])) continue;
          if (frame.extra > 1) push(kLengthen, frame.pc, position_, frame.extra - 1);
          ++pc_;
          return true;
        case kBranch:
          return choose(frame.pc, static_cast<std::uint32_t>(frame.extra));
        default:
          continue;
      }
    }
    return false;
  }

  const RegexProgram& program_;
  std::string_view text_;
  std::vector<RegexScanner::Backtrack>& stack_;
  std::vector<std::size_t>& registers_;
  std::uint64_t& budget_;
  std::uint32_t pc_ = 0;
  std::size_t position_ = 0;
};

RegexScanner::RegexScanner(const Regex& regex) : program_(&regex.program()), budget_(kBudget) {}

void RegexScanner::reset(std::string_view text) {
  text_ = text;
  at_ = 0;
  last_end_.reset();
  budget_ += kBudgetPerByte * text.size();
  registers_.assign(program_->registers, 0);
}

// Moves to where a match may begin; false when there is no such place.
bool RegexScanner::skip_to_candidate() {
  if (!program_->first) return at_ <= text_.size();
  while (at_ < text_.size()) {
    const auto byte = static_cast<unsigned char>(text_[at_]);
    if (byte < 0x80) {
      if (program_->first->contains_ascii(byte)) return true;
      ++at_;
    } else {
      const Decoded next = decode_utf8(text_.data() + at_);
      if (program_->first->contains(next.c)) return true;
      at_ += next.length;
    }
  }
  return false;
}

std::optional<RegexMatch> RegexScanner::next() {
  const auto step = [this] { at_ += at_ < text_.size() ? utf8_length(text_[at_]) : 1; };
  while (budget_ > 0 && skip_to_candidate()) {
    const std::size_t begin = at_;
    const std::optional<std::size_t> end = RegexMachine(*this).run(0, begin);
    // An empty match right behind the last one would go on for ever.
    if (!end || (*end == begin && last_end_ == begin)) {
      step();
      continue;
    }
    at_ = *end;
    last_end_ = end;
    return RegexMatch{begin, *end};
  }
  return std::nullopt;
}

}  // namespace bundle::tokenizer
