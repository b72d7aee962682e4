#include "runtime/tokenizer/sentencepiece.h"

#include <algorithm>
#include <bit>

#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/sentencepiece_normalizer.h"
#include "runtime/tokenizer/unigram.h"

namespace bundle::tokenizer {
namespace {

constexpr std::string_view kSpaceSymbol = "▁";

bool is(const SentencePieceModel& model, std::size_t id, PieceType type) {
  return model.types[id] == type;
}

// Pieces that text can turn into: not control, unknown or byte pieces.
bool is_textual(const SentencePieceModel& model, std::size_t id) {
  return is(model, id, PieceType::kNormal) || is(model, id, PieceType::kUserDefined) ||
         is(model, id, PieceType::kUnused);
}

template <typename Keep>
std::shared_ptr<const Vocabulary> vocabulary_of(const SentencePieceModel& model, Keep keep) {
  auto vocabulary = std::make_shared<Vocabulary>();
  vocabulary->reserve(model.pieces.size(), model.pieces.size() * 8);
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (keep(id)) (void)vocabulary->set(static_cast<std::int64_t>(id), model.pieces[id]);
  }
  vocabulary->index();
  return vocabulary;
}

ByteTrie user_defined_trie(const SentencePieceModel& model) {
  std::vector<ByteTrie::Key> keys;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (!is(model, id, PieceType::kUserDefined)) continue;
    keys.push_back({model.pieces[id], static_cast<std::int32_t>(id)});
  }
  return ByteTrie(std::move(keys));
}

// Whether "▁" stands only at the beginning of pieces. Then no piece reaches over the end of a
// word, and words can be cut, and remembered, one by one.
bool words_stand_alone(const SentencePieceModel& model) {
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (!is_textual(model, id)) continue;
    std::string_view piece = model.pieces[id];
    while (piece.substr(0, kSpaceSymbol.size()) == kSpaceSymbol) {
      piece.remove_prefix(kSpaceSymbol.size());
    }
    if (piece.find(kSpaceSymbol) != std::string_view::npos) return false;
  }
  return true;
}

// Cuts out the user-defined pieces, and between them before every run of "▁".
class SentencePieceWords final : public PreTokenizer {
 public:
  SentencePieceWords(ByteTrie kept, bool cut_words)
      : kept_(std::move(kept)), cut_words_(cut_words) {}

  void apply(Pieces& pieces) const override {
    std::vector<Pieces::Range> result;
    for (const Pieces::Range& range : pieces.ranges) cut(pieces.view(range), range.begin, result);
    pieces.ranges = std::move(result);
  }

 private:
  void cut(std::string_view text, std::size_t offset, std::vector<Pieces::Range>& result) const {
    std::size_t begin = 0;
    bool in_spaces = true;
    const auto close = [&](std::size_t end) {
      if (end > begin) result.push_back({offset + begin, offset + end});
      begin = end;
    };
    for (std::size_t at = 0; at < text.size();) {
      if (const std::size_t end = longest_key(kept_, text, at); end > at) {
        close(at);
        close(end);
        at = end;
        in_spaces = true;
        continue;
      }
      const bool space = text.substr(at, kSpaceSymbol.size()) == kSpaceSymbol;
      if (cut_words_ && space && !in_spaces) close(at);
      in_spaces = space;
      at += space ? kSpaceSymbol.size() : 1;
    }
    close(text.size());
  }

  ByteTrie kept_;
  bool cut_words_;
};

// A number that grows as the score falls.
std::uint32_t rank_of(float score) {
  const auto bits = std::bit_cast<std::uint32_t>(score == 0 ? 0.0f : score);
  const std::uint32_t ascending = bits >> 31 ? ~bits : bits | 0x80000000u;
  return std::min(~ascending, 0xfffffffeu);
}

std::unique_ptr<const Model> make_bpe(const SentencePieceModel& model) {
  BpeOptions options{.by_text = true, .byte_fallback = model.byte_fallback, .fuse_unknown = true};
  options.unknown = model.unknown;
  options.whole =
      vocabulary_of(model, [&](std::size_t id) { return is(model, id, PieceType::kUserDefined); });
  options.ranks.resize(model.pieces.size());
  options.unused.resize(model.pieces.size());
  options.byte_ids.assign(256, -1);
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    options.ranks[id] = rank_of(model.scores[id]);
    options.unused[id] = is(model, id, PieceType::kUnused);
    const auto byte = parse_byte_piece(model.pieces[id]);
    if (byte && is(model, id, PieceType::kByte)) {
      options.byte_ids[*byte] = static_cast<std::int32_t>(id);
    }
  }
  auto words = vocabulary_of(model, [&](std::size_t id) { return is_textual(model, id); });
  return std::make_unique<Bpe>(std::move(words), MergeTable(), std::move(options));
}

// A user-defined piece gets the score that SentencePiece gives it so that it wins.
std::vector<double> unigram_scores(const SentencePieceModel& model) {
  float best = -1e30f;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (is(model, id, PieceType::kNormal)) best = std::max(best, model.scores[id]);
  }
  std::vector<double> scores;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const auto length = static_cast<float>(model.pieces[id].size());
    scores.push_back(is(model, id, PieceType::kUserDefined)
                         ? static_cast<float>(length * best - 0.1)
                         : model.scores[id]);
  }
  return scores;
}

std::unique_ptr<const Model> make_unigram(const SentencePieceModel& model) {
  std::vector<bool> usable(model.pieces.size());
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    usable[id] = is(model, id, PieceType::kNormal) || is(model, id, PieceType::kUserDefined);
  }
  UnigramOptions options{.byte_fallback = model.byte_fallback, .single_precision = true};
  options.unknown = model.unknown;
  auto pieces = vocabulary_of(model, [](std::size_t) { return true; });
  return std::make_unique<Unigram>(std::move(pieces), unigram_scores(model), usable, options);
}

void add_decoder(const SentencePieceModel& model, PipelineParts& parts) {
  const SentencePieceNormalization& rules = model.normalization;
  DecodeStep spaces{.kind = DecodeStep::Kind::kReplace};
  spaces.text = kSpaceSymbol;
  spaces.content = " ";
  DecodeStep strip{.kind = DecodeStep::Kind::kStripStart};
  strip.text = " ";
  strip.left = rules.remove_extra_whitespaces ? 1'000'000 : rules.add_dummy_prefix ? 1 : 0;
  std::vector<DecodeStep> steps;
  if (rules.escape_whitespaces) steps.push_back(std::move(spaces));
  if (model.byte_fallback) steps.push_back({.kind = DecodeStep::Kind::kByteFallback});
  steps.push_back(std::move(strip));
  parts.decoder = Decoder(std::move(steps));
}

}  // namespace

Status build_sentencepiece(const SentencePieceModel& model, bool cut_user_defined,
                           PipelineParts& parts) {
  parts.vocabulary.reserve(model.pieces.size(), model.pieces.size() * 8);
  for (std::size_t i = 0; i < model.pieces.size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    BUNDLE_CHECK(parts.vocabulary.set(id, model.pieces[i]));
    const bool control = is(model, i, PieceType::kControl);
    const bool user_defined = cut_user_defined && is(model, i, PieceType::kUserDefined);
    if (!control && !user_defined) continue;
    AddedToken token{.id = id, .content = model.pieces[i]};
    token.special = control;
    parts.added.push_back(std::move(token));
  }
  parts.vocabulary.index();
  const ByteTrie kept = cut_user_defined ? ByteTrie() : user_defined_trie(model);
  parts.normalizers.push_back(sentencepiece_normalizer(model.normalization, kept));
  if (model.unigram) {
    parts.model = make_unigram(model);
  } else {
    parts.pre_tokenizers.push_back(
        std::make_unique<SentencePieceWords>(kept, words_stand_alone(model)));
    parts.model = make_bpe(model);
  }
  add_decoder(model, parts);
  return {};
}

}  // namespace bundle::tokenizer
