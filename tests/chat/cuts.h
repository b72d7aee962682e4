// Feeds a text to a parser in every way of cutting it.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/chat/answer_parser.h"

namespace bundle::chat {

/// What the pieces say, one line each: "R:…", "C:…", "F0:name#id", "A0:…".
inline std::string spelled(const AnswerPieces& pieces) {
  std::string out;
  for (const AnswerPiece& piece : pieces) {
    const std::string call = std::to_string(piece.call);
    switch (piece.kind) {
      case AnswerPiece::Kind::kReasoning:
        out += "R:" + piece.text;
        break;
      case AnswerPiece::Kind::kContent:
        out += "C:" + piece.text;
        break;
      case AnswerPiece::Kind::kCall:
        out += "F" + call + ":" + piece.text + (piece.call_id.empty() ? "" : "#" + piece.call_id);
        break;
      case AnswerPiece::Kind::kArguments:
        out += "A" + call + ":" + piece.text;
        break;
    }
    out += '\n';
  }
  return out;
}

/// Parts of a text between these offsets, which rise.
inline std::string parse_cut(const AnswerSyntax& syntax, std::string_view text,
                             const std::vector<std::size_t>& cuts) {
  AnswerParser parser(syntax);
  AnswerPieces all;
  std::size_t begin = 0;
  const auto feed = [&](std::size_t end) {
    AnswerPieces pieces;
    parser.push(text.substr(begin, end - begin), pieces);
    append_pieces(all, std::move(pieces));
    begin = end;
  };
  for (const std::size_t cut : cuts) feed(cut);
  feed(text.size());
  AnswerPieces last;
  parser.finish(last);
  append_pieces(all, std::move(last));
  return spelled(all);
}

/// The parse of the whole, after checking that no way of cutting changes it: at every one border,
/// at every two, byte by byte, and at random borders.
inline std::string parse_all_cuts(const AnswerSyntax& syntax, std::string_view text,
                                  const std::function<void(const std::string&)>& differs) {
  const std::string whole = parse_cut(syntax, text, {});
  const auto check = [&](const std::vector<std::size_t>& cuts) {
    const std::string cut = parse_cut(syntax, text, cuts);
    if (cut != whole) differs(cut);
  };
  std::vector<std::size_t> every;
  for (std::size_t i = 1; i < text.size(); ++i) {
    check({i});
    every.push_back(i);
    for (std::size_t j = i + 1; text.size() < 120 && j < text.size(); ++j) check({i, j});
  }
  check(every);
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::size_t> cuts;
    for (std::size_t i = 1; i < text.size(); ++i) {
      if (random() % 4 == 0) cuts.push_back(i);
    }
    check(cuts);
  }
  return whole;
}

}  // namespace bundle::chat
