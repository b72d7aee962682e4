// From the syntax tree to the program.
#include "runtime/tokenizer/regex_class.h"
#include "runtime/tokenizer/regex_program.h"

namespace bundle::tokenizer {
namespace {

constexpr std::size_t kMaxCode = 20'000;
constexpr std::size_t kMaxSets = 2'000;
constexpr std::size_t kMaxBranches = 32;

/// What a match of a node can begin with.
struct First {
  CharSet set = {};
  bool nullable = false;
};

First first_of(const RegexNode& node);

First first_of_sequence(const RegexNode& node) {
  First result{.nullable = true};
  for (const RegexNode& child : node.children) {
    First next = first_of(child);
    result.set = result.set | next.set;
    if (!next.nullable) {
      result.nullable = false;
      break;
    }
  }
  return result;
}

First first_of_alternatives(const RegexNode& node) {
  First result;
  for (const RegexNode& child : node.children) {
    First next = first_of(child);
    result.set = result.set | next.set;
    result.nullable = result.nullable || next.nullable;
  }
  return result;
}

First first_of(const RegexNode& node) {
  switch (node.kind) {
    case RegexNodeKind::kSet:
      return {node.set, false};
    case RegexNodeKind::kSequence:
      return first_of_sequence(node);
    case RegexNodeKind::kAlternatives:
      return first_of_alternatives(node);
    case RegexNodeKind::kAtomic:
      return first_of(node.children[0]);
    case RegexNodeKind::kRepeat: {
      if (node.max == 0) return {.nullable = true};
      First inner = first_of(node.children[0]);
      inner.nullable = inner.nullable || node.min == 0;
      return inner;
    }
    case RegexNodeKind::kLook:
    case RegexNodeKind::kAssert:
      break;
  }
  return {.nullable = true};
}

/// Characters that every match of the node has; none when they differ.
std::optional<std::uint32_t> fixed_width(const RegexNode& node) {
  switch (node.kind) {
    case RegexNodeKind::kSet:
      return 1;
    case RegexNodeKind::kLook:
    case RegexNodeKind::kAssert:
      return 0;
    case RegexNodeKind::kAtomic:
      return fixed_width(node.children[0]);
    case RegexNodeKind::kRepeat: {
      const auto inner = fixed_width(node.children[0]);
      if (!inner || node.min != node.max || *inner > 1000) return std::nullopt;
      return *inner * node.min;
    }
    case RegexNodeKind::kSequence: {
      std::uint32_t sum = 0;
      for (const RegexNode& child : node.children) {
        const auto width = fixed_width(child);
        if (!width || sum + *width > 1'000'000) return std::nullopt;
        sum += *width;
      }
      return sum;
    }
    case RegexNodeKind::kAlternatives: {
      const auto width = fixed_width(node.children[0]);
      for (const RegexNode& child : node.children) {
        if (fixed_width(child) != width) return std::nullopt;
      }
      return width;
    }
  }
  return std::nullopt;
}

class Compiler {
 public:
  explicit Compiler(RegexFlavor flavor) : flavor_(flavor) {}

  Result<RegexProgram> compile(const RegexNode& root) {
    BUNDLE_CHECK(emit(root));
    add({.op = RegexOp::kMatch});
    const First first = first_of(root);
    if (!first.nullable) program_.first.emplace(first.set);
    return std::move(program_);
  }

 private:
  std::uint32_t here() const { return static_cast<std::uint32_t>(program_.code.size()); }

  std::uint32_t add(RegexInstruction instruction) {
    program_.code.push_back(instruction);
    return here() - 1;
  }

  std::uint32_t add_set(const CharSet& set) {
    program_.sets.emplace_back(set);
    return static_cast<std::uint32_t>(program_.sets.size() - 1);
  }

  Status emit(const RegexNode& node) {
    if (program_.code.size() > kMaxCode || program_.sets.size() > kMaxSets) {
      return bad_input("the pattern is too large");
    }
    switch (node.kind) {
      case RegexNodeKind::kSet:
        emit_set(node.set);
        return {};
      case RegexNodeKind::kSequence:
        return emit_sequence(node);
      case RegexNodeKind::kAlternatives:
        return emit_alternatives(node, 0);
      case RegexNodeKind::kRepeat:
        return emit_repeat(node);
      case RegexNodeKind::kLook:
        return emit_look(node, node.children[0]);
      case RegexNodeKind::kAtomic:
        return emit_enclosed({.op = RegexOp::kAtomic}, node.children[0]);
      case RegexNodeKind::kAssert:
        if (!program_.words) program_.words.emplace(*escape_class('w', flavor_));
        add({.op = RegexOp::kAssert, .place = node.place});
        return {};
    }
    return {};
  }

  void emit_set(const CharSet& set) {
    const auto& ranges = set.ranges();
    const bool one = ranges.size() == 1 && ranges[0].first == ranges[0].last;
    if (one && ranges[0].first < 0x80) {
      add({.op = RegexOp::kByte, .byte = static_cast<char>(ranges[0].first)});
    } else {
      add({.op = RegexOp::kSet, .x = add_set(set)});
    }
  }

  Status emit_sequence(const RegexNode& node) {
    for (const RegexNode& child : node.children) BUNDLE_CHECK(emit(child));
    return {};
  }

  // The branches from `from` on. More than a choice holds: its last branch is a further choice.
  Status emit_alternatives(const RegexNode& node, std::size_t from) {
    const std::size_t left = node.children.size() - from;
    const bool chained = left > kMaxBranches;
    const std::size_t own = chained ? kMaxBranches - 1 : left;
    const auto index = static_cast<std::uint32_t>(program_.choices.size());
    program_.choices.emplace_back();
    add({.op = RegexOp::kChoose, .x = index});
    RegexChoice choice;
    std::vector<std::uint32_t> jumps;
    for (std::size_t i = 0; i < own; ++i) {
      mark_branch(choice, i, first_of(node.children[from + i]));
      choice.targets.push_back(here());
      BUNDLE_CHECK(emit(node.children[from + i]));
      jumps.push_back(add({.op = RegexOp::kJump}));
    }
    if (chained) {
      mark_branch(choice, own, {.set = CharSet::all(), .nullable = true});
      choice.targets.push_back(here());
      BUNDLE_CHECK(emit_alternatives(node, from + own));
    }
    for (const std::uint32_t jump : jumps) program_.code[jump].x = here();
    program_.choices[index] = std::move(choice);
    return {};
  }

  static void mark_branch(RegexChoice& choice, std::size_t branch, const First& first) {
    const std::uint32_t bit = 1u << branch;
    for (unsigned char c = 0; c < 128; ++c) {
      if (first.nullable || first.set.contains(c)) choice.by_ascii[c] |= bit;
    }
    const bool other = !first.set.empty() && first.set.ranges().back().last >= 0x80;
    if (first.nullable || other) choice.by_other |= bit;
    if (first.nullable) choice.at_end |= bit;
  }

  Status emit_repeat(const RegexNode& node) {
    const RegexNode& child = node.children[0];
    if (child.kind == RegexNodeKind::kSet) {
      add({.op = RegexOp::kRun,
           .greed = node.greed,
           .x = add_set(child.set),
           .min = node.min,
           .max = node.max});
      return {};
    }
    if (node.greed == RegexGreed::kPossessive) {
      RegexNode greedy = node;
      greedy.greed = RegexGreed::kGreedy;
      return emit_enclosed({.op = RegexOp::kAtomic}, greedy);
    }
    for (std::uint32_t i = 0; i < node.min; ++i) BUNDLE_CHECK(emit(child));
    return node.max == kNoLimit ? emit_loop(node) : emit_optional(node);
  }

  // L: split(body, out) mark body progress jump L; out:
  Status emit_loop(const RegexNode& node) {
    const std::uint32_t split = add({.op = RegexOp::kSplit});
    const std::uint32_t body = here();
    const bool can_be_empty = first_of(node.children[0]).nullable;
    const std::uint32_t mark = can_be_empty ? program_.registers++ : 0;
    if (can_be_empty) add({.op = RegexOp::kMark, .x = mark});
    BUNDLE_CHECK(emit(node.children[0]));
    if (can_be_empty) add({.op = RegexOp::kProgress, .x = mark});
    add({.op = RegexOp::kJump, .x = split});
    set_split(split, body, here(), node.greed);
    return {};
  }

  Status emit_optional(const RegexNode& node) {
    std::vector<std::uint32_t> splits;
    for (std::uint32_t i = node.min; i < node.max; ++i) {
      splits.push_back(add({.op = RegexOp::kSplit}));
      BUNDLE_CHECK(emit(node.children[0]));
    }
    for (const std::uint32_t split : splits) set_split(split, split + 1, here(), node.greed);
    return {};
  }

  void set_split(std::uint32_t split, std::uint32_t body, std::uint32_t out, RegexGreed greed) {
    const bool lazy = greed == RegexGreed::kLazy;
    program_.code[split].x = lazy ? out : body;
    program_.code[split].y = lazy ? body : out;
  }

  Status emit_enclosed(RegexInstruction head, const RegexNode& inner) {
    const std::uint32_t start = add(head);
    BUNDLE_CHECK(emit(inner));
    add({.op = RegexOp::kMatch});
    program_.code[start].x = here();
    return {};
  }

  // A look behind steps back by a known number of characters, so each branch is its own look.
  Status emit_look(const RegexNode& look, const RegexNode& inner) {
    RegexInstruction head{.op = RegexOp::kLook, .negated = look.negated, .behind = look.behind};
    if (!look.behind) return emit_enclosed(head, inner);
    if (const auto width = fixed_width(inner)) {
      head.min = *width;
      return emit_enclosed(head, inner);
    }
    if (inner.kind != RegexNodeKind::kAlternatives) {
      return bad_input("the pattern looks behind by no fixed length");
    }
    RegexNode split{.kind = look.negated ? RegexNodeKind::kSequence : RegexNodeKind::kAlternatives};
    for (const RegexNode& branch : inner.children) {
      RegexNode one{.kind = RegexNodeKind::kLook, .negated = look.negated, .behind = true};
      one.children.push_back(branch);
      split.children.push_back(std::move(one));
    }
    return emit(split);
  }

  RegexFlavor flavor_;
  RegexProgram program_;
};

}  // namespace

Result<Regex> Regex::compile(std::string_view pattern, RegexFlavor flavor) {
  BUNDLE_TRY(const RegexNode root, parse_regex(pattern, flavor));
  BUNDLE_TRY(RegexProgram program, Compiler(flavor).compile(root));
  return Regex(std::make_shared<const RegexProgram>(std::move(program)));
}

}  // namespace bundle::tokenizer
