#include "runtime/tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "runtime/tokenizer/byte_level.h"

namespace bundle::tokenizer {
namespace {

using Range = Pieces::Range;

struct Segment {
  Range range;
  bool is_match;
};

// The segments of one piece under the five behaviours. They follow the reference's folds, also for
// matches that are empty: such a match still parts what stands on its two sides.
class Splitter {
 public:
  explicit Splitter(SplitBehavior behavior) : behavior_(behavior) {}

  void split(const std::vector<Segment>& segments, std::vector<Range>& out) {
    joined_.clear();
    switch (behavior_) {
      case SplitBehavior::kRemoved:
        removed(segments);
        break;
      case SplitBehavior::kIsolated:
        isolated(segments);
        break;
      case SplitBehavior::kMergedWithPrevious:
        merged_with_previous(segments);
        break;
      case SplitBehavior::kMergedWithNext:
        merged_with_next(segments);
        break;
      case SplitBehavior::kContiguous:
        contiguous(segments);
        break;
    }
    for (const Range& range : joined_) {
      if (range.end > range.begin) out.push_back(range);
    }
  }

 private:
  void removed(const std::vector<Segment>& segments) {
    for (const Segment& segment : segments) {
      if (!segment.is_match) joined_.push_back(segment.range);
    }
  }

  void isolated(const std::vector<Segment>& segments) {
    for (const Segment& segment : segments) joined_.push_back(segment.range);
  }

  void merged_with_previous(const std::vector<Segment>& segments) {
    bool match_before = false;
    for (const Segment& segment : segments) {
      if (segment.is_match && !match_before && !joined_.empty()) {
        joined_.back().end = segment.range.end;
      } else {
        joined_.push_back(segment.range);
      }
      match_before = segment.is_match;
    }
  }

  void merged_with_next(const std::vector<Segment>& segments) {
    bool match_behind = false;
    for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
      if (segment->is_match && !match_behind && !joined_.empty()) {
        joined_.back().begin = segment->range.begin;
      } else {
        joined_.push_back(segment->range);
      }
      match_behind = segment->is_match;
    }
    std::reverse(joined_.begin(), joined_.end());
  }

  void contiguous(const std::vector<Segment>& segments) {
    bool match_before = false;
    for (const Segment& segment : segments) {
      if (segment.is_match == match_before && !joined_.empty()) {
        joined_.back().end = segment.range.end;
      } else {
        joined_.push_back(segment.range);
      }
      match_before = segment.is_match;
    }
  }

  SplitBehavior behavior_;
  std::vector<Range> joined_;
};

// Collects the segments of one piece from its matches, given in order.
class Segments {
 public:
  Segments(std::vector<Segment>& list, Range piece, bool invert)
      : list_(list), piece_(piece), at_(piece.begin), invert_(invert) {
    list_.clear();
  }

  // Offsets inside the piece.
  void match(std::size_t begin, std::size_t end) {
    gap_to(piece_.begin + begin);
    add(at_, piece_.begin + end, true);
  }

  void finish() { gap_to(piece_.end); }

 private:
  void gap_to(std::size_t to) {
    if (to != at_) add(at_, to, false);
  }
  void add(std::size_t begin, std::size_t end, bool is_match) {
    list_.push_back({{begin, end}, is_match != invert_});
    at_ = end;
  }

  std::vector<Segment>& list_;
  Range piece_;
  std::size_t at_;
  bool invert_;
};

// The common frame of all splits: `find(piece, segments)` reports the matches of each piece.
template <typename Find>
void split_pieces(Pieces& pieces, SplitBehavior behavior, bool invert, Find find) {
  std::vector<Range> result;
  result.reserve(pieces.ranges.size() + pieces.text.size() / 4);
  std::vector<Segment> list;
  Splitter splitter(behavior);
  for (const Range& range : pieces.ranges) {
    Segments segments(list, range, invert);
    find(pieces.view(range), segments);
    segments.finish();
    splitter.split(list, result);
  }
  pieces.ranges = std::move(result);
}

class PatternSplit final : public PreTokenizer {
 public:
  PatternSplit(Regex regex, SplitBehavior behavior, bool invert)
      : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}

  void apply(Pieces& pieces) const override {
    RegexScanner scanner(regex_);
    split_pieces(pieces, behavior_, invert_, [&](std::string_view piece, Segments& segments) {
      scanner.reset(piece);
      while (const auto match = scanner.next()) segments.match(match->begin, match->end);
    });
  }

 private:
  Regex regex_;
  SplitBehavior behavior_;
  bool invert_;
};

class TextSplit final : public PreTokenizer {
 public:
  TextSplit(std::string text, SplitBehavior behavior, bool invert)
      : text_(std::move(text)), behavior_(behavior), invert_(invert) {}

  void apply(Pieces& pieces) const override {
    if (text_.empty()) return;
    split_pieces(pieces, behavior_, invert_, [&](std::string_view piece, Segments& segments) {
      for (std::size_t at = piece.find(text_); at != std::string_view::npos;
           at = piece.find(text_, at + text_.size())) {
        segments.match(at, at + text_.size());
      }
    });
  }

 private:
  std::string text_;
  SplitBehavior behavior_;
  bool invert_;
};

class CharacterSplit final : public PreTokenizer {
 public:
  CharacterSplit(const CharSet& set, SplitBehavior behavior) : set_(set), behavior_(behavior) {}

  void apply(Pieces& pieces) const override {
    split_pieces(pieces, behavior_, false, [&](std::string_view piece, Segments& segments) {
      for (std::size_t at = 0; at < piece.size();) {
        const Decoded next = decode_utf8(piece.data() + at);
        if (set_.contains(next.c)) segments.match(at, at + next.length);
        at += next.length;
      }
    });
  }

 private:
  CharBitmap set_;
  SplitBehavior behavior_;
};

class LengthSplit final : public PreTokenizer {
 public:
  explicit LengthSplit(std::size_t characters) : characters_(characters) {}

  void apply(Pieces& pieces) const override {
    split_pieces(pieces, SplitBehavior::kIsolated, false,
                 [&](std::string_view piece, Segments& segments) {
                   std::size_t begin = 0;
                   std::size_t count = 0;
                   for (std::size_t at = 0; at < piece.size(); at += utf8_length(piece[at])) {
                     if (count++ % characters_ == 0 && at > begin) {
                       segments.match(begin, at);
                       begin = at;
                     }
                   }
                   segments.match(begin, piece.size());
                 });
  }

 private:
  std::size_t characters_;
};

// Rebuilds the text piece by piece, where a step changes it.
template <typename Rewrite>
void rewrite_pieces(Pieces& pieces, Rewrite rewrite) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.text.size() / 2);
  std::vector<Range> ranges;
  for (const Range& range : pieces.ranges) {
    const std::size_t begin = text.size();
    rewrite(range, pieces.view(range), text);
    if (text.size() > begin) ranges.push_back({begin, text.size()});
  }
  pieces.from_start =
      pieces.from_start && !pieces.ranges.empty() && pieces.ranges.front().begin == 0;
  pieces.text = std::move(text);
  pieces.ranges = std::move(ranges);
}

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme) {
    if (split) split_ = split_at_text(replacement_, SplitBehavior::kMergedWithNext, false);
  }

  void apply(Pieces& pieces) const override {
    const bool from_start = pieces.from_start;
    rewrite_pieces(pieces, [&](Range range, std::string_view piece, std::string& text) {
      const bool first = from_start && range.begin == 0;
      const bool wanted =
          scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && first);
      const bool has =
          piece.substr(0, 1) == " " || piece.substr(0, replacement_.size()) == replacement_;
      if (wanted && !has) text += replacement_;
      for (const char c : piece) {
        if (c == ' ') {
          text += replacement_;
        } else {
          text.push_back(c);
        }
      }
    });
    if (split_) split_->apply(pieces);
  }

 private:
  std::string replacement_;
  PrependScheme scheme_;
  PreTokenizerPtr split_;
};

class PrefixSpace final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    rewrite_pieces(pieces, [](Range, std::string_view piece, std::string& text) {
      if (piece[0] != ' ') text.push_back(' ');
      text += piece;
    });
  }
};

class SpellByteLevel final : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    rewrite_pieces(pieces, [](Range, std::string_view piece, std::string& text) {
      text += bytes_to_byte_level(piece);
    });
  }
};

}  // namespace

Pieces::Pieces(std::string whole, bool starts) : text(std::move(whole)), from_start(starts) {
  if (!text.empty()) ranges.push_back({0, text.size()});
}

std::optional<SplitBehavior> parse_split_behavior(std::string_view name) {
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return std::nullopt;
}

PreTokenizerPtr split_at_pattern(Regex regex, SplitBehavior behavior, bool invert) {
  return std::make_unique<PatternSplit>(std::move(regex), behavior, invert);
}

PreTokenizerPtr split_at_text(std::string text, SplitBehavior behavior, bool invert) {
  return std::make_unique<TextSplit>(std::move(text), behavior, invert);
}

PreTokenizerPtr split_at_characters(const CharSet& set, SplitBehavior behavior) {
  return std::make_unique<CharacterSplit>(set, behavior);
}

PreTokenizerPtr split_by_length(std::size_t characters) {
  return std::make_unique<LengthSplit>(std::max<std::size_t>(characters, 1));
}

std::optional<PrependScheme> parse_prepend_scheme(std::string_view name) {
  if (name == "never") return PrependScheme::kNever;
  if (name == "first") return PrependScheme::kFirst;
  if (name == "always") return PrependScheme::kAlways;
  return std::nullopt;
}

PreTokenizerPtr metaspace(std::string replacement, PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(std::move(replacement), scheme, split);
}

PreTokenizerPtr prefix_space() { return std::make_unique<PrefixSpace>(); }

PreTokenizerPtr spell_byte_level() { return std::make_unique<SpellByteLevel>(); }

// As of Unicode 17.
CharSet numeric_characters() {
  return CharSet::categories(kNumbers) | CharSet({{0x11de0, 0x11de9}, {0x16ff4, 0x16ff6}});
}

CharSet punctuation_characters() {
  // As of Unicode 8.
  return CharSet::where([](CharInfo i) { return i.in(kPunctuation) && i.in_unicode8(); }) |
         CharSet({{0x166d, 0x166d}, {0x111c9, 0x111c9}}) |
         CharSet({{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}});
}

CharSet space_characters() {
  return CharSet({{'\t', '\r'}, {0x85, 0x85}}) | CharSet::categories(kSeparators);
}

}  // namespace bundle::tokenizer
