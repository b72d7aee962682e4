// What a model's answer is made of, piece by piece, as it is written.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace bundle::chat {

/// Consecutive pieces of one kind (and, for tool calls, of one call) read as one.
struct AnswerPiece {
  enum class Kind {
    kReasoning,
    kContent,
    kCall,       // a tool call begins; `text` is the function's name
    kArguments,  // more of the JSON text of its arguments
  };
  Kind kind = Kind::kContent;
  std::string text = {};
  std::size_t call = 0;      // which tool call, counted from 0
  std::string call_id = {};  // with kCall: the id that the model gave it, or ""
};

using AnswerPieces = std::vector<AnswerPiece>;

/// Adds text to the last piece if it is of this kind and call, else as a new piece.
inline void add_text(AnswerPieces& pieces, AnswerPiece::Kind kind, std::string_view text,
                     std::size_t call = 0) {
  if (text.empty()) return;
  if (!pieces.empty() && pieces.back().kind == kind && pieces.back().call == call) {
    pieces.back().text += text;
  } else {
    pieces.push_back({kind, std::string(text), call, {}});
  }
}

/// Appends `more`, joining what belongs together.
inline void append_pieces(AnswerPieces& pieces, AnswerPieces more) {
  for (AnswerPiece& piece : more) {
    if (piece.kind == AnswerPiece::Kind::kCall) {
      pieces.push_back(std::move(piece));
    } else {
      add_text(pieces, piece.kind, piece.text, piece.call);
    }
  }
}

}  // namespace bundle::chat
