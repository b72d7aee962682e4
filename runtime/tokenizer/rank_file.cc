#include "runtime/tokenizer/rank_file.h"

#include <algorithm>
#include <charconv>

#include "runtime/tokenizer/base64.h"
#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/rank_models.h"

namespace bundle::tokenizer {
namespace {

struct RankLine {
  std::string token;
  std::int64_t rank = 0;
};

std::optional<RankLine> parse_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos) return std::nullopt;
  auto token = decode_base64(line.substr(0, space));
  if (!token) return std::nullopt;
  RankLine result{std::move(*token)};
  const char* end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(line.data() + space + 1, end, result.rank);
  if (error != std::errc() || stop != end) return std::nullopt;
  return result;
}

// Calls `use` for every line that is not empty, with its number; stops when it returns an error.
template <typename Use>
Status for_each_line(std::string_view text, Use use) {
  std::size_t number = 1;
  for (std::size_t at = 0; at < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!line.empty()) BUNDLE_CHECK(use(line, number));
    at = end + 1;
  }
  return {};
}

Result<std::vector<std::string>> read_ranks(std::string_view text, std::string_view where) {
  std::vector<std::string> tokens;
  BUNDLE_CHECK(for_each_line(text, [&](std::string_view line, std::size_t number) -> Status {
    auto parsed = parse_line(line);
    if (!parsed || parsed->rank < 0 || parsed->rank >= kMaxId) {
      return bad_input("a line is no base64 token and rank",
                       std::string(where) + " line " + std::to_string(number));
    }
    const auto rank = static_cast<std::size_t>(parsed->rank);
    if (rank >= tokens.size()) tokens.resize(rank + 1);
    tokens[rank] = std::move(parsed->token);
    return {};
  }));
  if (tokens.empty()) return bad_input("there are no ranks", std::string(where));
  return tokens;
}

Status fill_vocabularies(const RankedTokens& ranked, PipelineParts& parts, Vocabulary& words) {
  words.reserve(ranked.tokens.size(), ranked.tokens.size() * 8);
  for (std::size_t rank = 0; rank < ranked.tokens.size(); ++rank) {
    if (ranked.tokens[rank].empty()) continue;
    const auto id = ranked.first_id + static_cast<std::int64_t>(rank);
    BUNDLE_CHECK(words.set(id, ranked.tokens[rank]));
  }
  words.index();
  parts.vocabulary = words;
  for (const auto& [id, content] : ranked.specials) {
    BUNDLE_CHECK(parts.vocabulary.set(id, content));
    AddedToken token{.id = id, .content = content};
    token.special = true;
    parts.added.push_back(std::move(token));
  }
  parts.vocabulary.index();
  return {};
}

}  // namespace

bool looks_like_ranks(std::string_view text) {
  std::string_view line = text.substr(0, text.find('\n'));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return parse_line(line).has_value();
}

Result<std::shared_ptr<const Tokenizer>> make_ranked(RankedTokens ranked, std::string_view where) {
  PipelineParts parts;
  auto words = std::make_shared<Vocabulary>();
  BUNDLE_CHECK(fill_vocabularies(ranked, parts, *words));
  if (ranked.nfc) parts.normalizers.push_back(normalize_unicode(UnicodeForm::kNfc));
  auto regex = Regex::compile(ranked.pattern, RegexFlavor::kRust);
  if (regex.has_error()) {
    Error error = std::move(regex).error();
    error.where = std::string(where) + " " + error.where;
    return error;
  }
  // What no alternative matches is in no token: tiktoken drops it.
  parts.pre_tokenizers.push_back(split_at_pattern(*regex, SplitBehavior::kRemoved, true));
  if (!ranked.bos.empty()) parts.bos = parts.vocabulary.find(ranked.bos);
  if (!ranked.eos.empty()) parts.eos = parts.vocabulary.find(ranked.eos);
  if (ranked.add_bos && parts.bos) parts.before.push_back(*parts.bos);
  BpeOptions options{.bytes = true, .by_text = true};
  options.whole = words;
  parts.model = std::make_unique<Bpe>(std::move(words), MergeTable(), std::move(options));
  return make_pipeline(std::move(parts));
}

Result<std::shared_ptr<const Tokenizer>> load_ranks(std::string_view text,
                                                    std::string_view model_hint, bool add_bos,
                                                    std::string_view where) {
  RankedTokens ranked;
  BUNDLE_TRY(ranked.tokens, read_ranks(text, where));
  BUNDLE_CHECK(complete_ranks(ranked, model_hint, where));
  ranked.add_bos = add_bos;
  return make_ranked(std::move(ranked), where);
}

}  // namespace bundle::tokenizer
