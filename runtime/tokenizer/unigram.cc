#include "runtime/tokenizer/unigram.h"

#include <algorithm>
#include <limits>

#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/unicode.h"

namespace bundle::tokenizer {
namespace {

constexpr double kUnknownPenalty = 10.0;

ByteTrie trie_of(const Vocabulary& pieces, const std::vector<bool>& usable) {
  std::vector<ByteTrie::Key> keys;
  keys.reserve(usable.size());
  // Of equal pieces the last one counts, and the trie keeps the first key.
  for (std::size_t i = usable.size(); i-- > 0;) {
    const auto id = static_cast<std::int32_t>(i);
    if (usable[i]) keys.push_back({pieces.spelling(id), id});
  }
  return ByteTrie(std::move(keys));
}

}  // namespace

// The best path that ends at a byte of the word: its last piece is [from, here).
struct Unigram::Step {
  double score = 0;
  std::int32_t id = -1;  // -1: no piece, an unknown character
  std::int64_t from = -1;
};

Unigram::Unigram(std::shared_ptr<const Vocabulary> pieces, std::vector<double> scores,
                 const std::vector<bool>& usable, UnigramOptions options)
    : pieces_(std::move(pieces)),
      scores_(std::move(scores)),
      options_(options),
      trie_(trie_of(*pieces_, usable)) {
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < usable.size(); ++i) {
    if (usable[i] || !options_.single_precision) least = std::min(least, scores_[i]);
  }
  unknown_score_ = least - kUnknownPenalty;
  for (unsigned byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = pieces_->find(byte_piece(static_cast<unsigned char>(byte))).value_or(-1);
  }
}

std::vector<Unigram::Step> Unigram::best_paths(std::string_view word) const {
  std::vector<Step> best(word.size() + 1);
  const auto offer = [&](std::size_t from, std::size_t to, std::int32_t id, double score) {
    double sum = best[from].score + score;
    if (options_.single_precision) {
      sum = static_cast<float>(best[from].score) + static_cast<float>(score);
    }
    if (best[to].from < 0 || sum > best[to].score) {
      best[to] = {sum, id, static_cast<std::int64_t>(from)};
    }
  };
  for (std::size_t from = 0; from < word.size();) {
    const std::size_t length = utf8_length(word[from]);
    bool has_single = false;
    std::uint32_t node = 0;
    for (std::size_t to = from; to < word.size();) {
      node = trie_.next(node, word[to++]);
      if (node == ByteTrie::kNone) break;
      const std::int32_t id = trie_.value(node);
      if (id < 0) continue;
      offer(from, to, id, scores_[static_cast<std::size_t>(id)]);
      has_single = has_single || to - from == length;
    }
    if (!has_single) offer(from, from + length, -1, unknown_score_);
    from += length;
  }
  return best;
}

void Unigram::tokenize(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (word.empty()) return;
  const std::vector<Step> best = best_paths(word);
  std::vector<std::pair<std::size_t, std::size_t>> path;  // pieces from the end to the beginning
  for (std::size_t end = word.size(); end > 0;) {
    const auto from = static_cast<std::size_t>(best[end].from);
    path.emplace_back(from, end);
    end = from;
  }
  // Unknown characters side by side are one unknown token.
  for (std::size_t i = path.size(); i-- > 0;) {
    const auto [from, end] = path[i];
    const std::int32_t id = best[end].id;
    if (id >= 0 && id != options_.unknown) {
      ids.push_back(id);
      continue;
    }
    std::size_t last = i;
    const auto unknown_at = [&](std::size_t index) {
      const std::int32_t other = best[path[index].second].id;
      return other < 0 || other == options_.unknown;
    };
    while (last > 0 && unknown_at(last - 1)) --last;
    append_unknown(word.substr(from, path[last].second - from), ids);
    i = last;
  }
}

void Unigram::append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const {
  const auto id_of = [this](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
  // A run of unknown characters can spell a token that the trie does not offer.
  if (const auto id = options_.single_precision ? std::nullopt : pieces_->find(text)) {
    ids.push_back(*id);
  } else if (options_.byte_fallback &&
             std::all_of(text.begin(), text.end(), [&](char b) { return id_of(b) >= 0; })) {
    for (const char byte : text) ids.push_back(id_of(byte));
  } else if (options_.unknown) {
    ids.push_back(*options_.unknown);
  }
}

}  // namespace bundle::tokenizer
