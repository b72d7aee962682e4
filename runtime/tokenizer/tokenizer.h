// Text to token ids and back, as the model's own reference library does it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "runtime/format/checkpoint.h"

namespace bundle::tokenizer {

struct EncodeOptions {
  bool add_special = true;    // what the post-processor adds: begin and end tokens
  bool parse_special = true;  // "<|im_end|>" in the text is that token, not its letters
};

/// Where a text that is being decoded stands between two tokens. A fresh one is the beginning.
struct DecodeState {
  bool at_start = true;        // no token came yet
  bool space_due = false;      // a space comes before the next token, if there is one
  std::uint32_t stripped = 0;  // spaces that decoding took from the beginning
};

/// The state in the middle of a text, where nothing is taken from the beginning any more.
inline DecodeState middle_of_text() { return {false, false, 0xffffffff}; }

/// One vocabulary with its rules. Immutable and thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Invalid UTF-8 becomes U+FFFD first.
  virtual std::vector<std::int32_t> encode(std::string_view text,
                                           const EncodeOptions& options = {}) const = 0;
  /// Ids out of range give nothing. The bytes may be no valid UTF-8 when ids end inside a
  /// character.
  virtual std::string decode(std::span<const std::int32_t> ids, bool skip_special) const = 0;

  /// One step of decode: appends what `id` adds to the text so far. The steps of all ids, from a
  /// fresh state on, append decode(ids, skip_special).
  virtual void decode_next(std::int32_t id, bool skip_special, DecodeState& state,
                           std::string& bytes) const;

  /// Bytes that one token stands for in the middle of a text (a special token: its content).
  virtual std::string token_bytes(std::int32_t id) const = 0;
  /// The vocabulary's own spelling ("Ġhello", "▁hello", "<|im_end|>"); "" when out of range.
  virtual std::string token_text(std::int32_t id) const = 0;
  virtual std::optional<std::int32_t> token_id(std::string_view spelling) const = 0;
  virtual bool is_special(std::int32_t id) const = 0;
  /// One more than the largest id.
  virtual std::int32_t vocab_size() const = 0;

  virtual std::optional<std::int32_t> bos_id() const = 0;
  virtual std::optional<std::int32_t> eos_id() const = 0;
};

/// Of a model: tokenizer.json, tokenizer.model (SentencePiece or tiktoken ranks), tekken.json, or
/// GGUF metadata, in that order. kNotFound when it has none (it then serves token ids only).
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const format::Checkpoint& checkpoint);

/// Of one file: tokenizer.json, .gguf, SentencePiece .model, tiktoken ranks, tekken.json. Told
/// apart by content. `model_hint` ("qwen", "llama3", …) picks pattern and special tokens for bare
/// rank files, which carry none; "" guesses from the file's size and name.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer_file(const Path& path,
                                                             std::string_view model_hint = {});

/// Turns a stream of ids into a stream of text: never emits part of a UTF-8 character, and what it
/// emits concatenates to decode(all ids, skip_special), with U+FFFD for every invalid byte sequence
/// in that. Not thread-safe.
class Detokenizer {
 public:
  /// `start`: middle_of_text() when the ids continue a text, as an answer does its prompt. `kept`:
  /// special tokens that are not skipped.
  Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special, DecodeState start = {},
              std::vector<std::int32_t> kept = {});
  /// Text that is certain after this id; often "".
  std::string push(std::int32_t id);
  /// What was held back, with U+FFFD for a cut character.
  std::string finish();

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_;
  DecodeState state_;
  std::vector<std::int32_t> kept_;
  std::string held_;  // the beginning of a character
};

}  // namespace bundle::tokenizer
