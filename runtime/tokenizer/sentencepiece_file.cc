// SentencePiece's .model files: a protocol buffer (sentencepiece_model.proto). Only the fields that
// tokenizing needs are read; the others are stepped over by their wire type.
#include <bit>

#include "base/bytes.h"
#include "base/text.h"
#include "runtime/tokenizer/sentencepiece.h"

namespace bundle::tokenizer {
namespace {

/// One field of a message: a number, or bytes.
struct Field {
  std::uint32_t number = 0;
  std::uint64_t value = 0;  // varint, or the bits of a 32- or 64-bit value
  Bytes bytes;              // of a length-delimited field
};

Result<std::uint64_t> read_varint(ByteReader& reader) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    BUNDLE_TRY(const auto byte, reader.read<std::uint8_t>("a varint"));
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return bad_input("a number is too long");
}

Result<Field> read_field(ByteReader& reader) {
  BUNDLE_TRY(const std::uint64_t tag, read_varint(reader));
  if (tag >> 3 == 0 || tag >> 32 != 0) return bad_input("a field has a bad number");
  Field field{.number = static_cast<std::uint32_t>(tag >> 3), .value = 0, .bytes = {}};
  switch (tag & 7) {
    case 0: {
      BUNDLE_TRY(field.value, read_varint(reader));
      return field;
    }
    case 1: {
      BUNDLE_TRY(field.value, reader.read<std::uint64_t>("a 64-bit field"));
      return field;
    }
    case 2: {
      BUNDLE_TRY(const std::uint64_t length, read_varint(reader));
      BUNDLE_TRY(field.bytes, reader.take(length, "a field"));
      return field;
    }
    case 5: {
      BUNDLE_TRY(const auto bits, reader.read<std::uint32_t>("a 32-bit field"));
      field.value = bits;
      return field;
    }
    default:
      return bad_input("a field has an unknown wire type");
  }
}

/// Calls `use` for every field of a message.
template <typename Use>
Status for_each_field(Bytes message, std::string_view where, Use use) {
  ByteReader reader(message, std::string(where));
  while (reader.left() > 0) {
    auto field = read_field(reader);
    if (field.has_error()) {
      Error error = std::move(field).error();
      if (error.where.empty()) error.where = where;
      return error;
    }
    BUNDLE_CHECK(use(*field));
  }
  return {};
}

float as_float(const Field& field) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
}

/// What TrainerSpec says beside the pieces.
struct TrainerFacts {
  std::uint64_t model_type = 1;
  std::string bos = "<s>";
  std::string eos = "</s>";
};

Status read_piece(Bytes message, SentencePieceModel& model, std::string_view where) {
  std::string piece;
  float score = 0;
  std::uint64_t type = 1;
  BUNDLE_CHECK(for_each_field(message, where, [&](const Field& field) -> Status {
    if (field.number == 1) piece = as_text(field.bytes);
    if (field.number == 2) score = as_float(field);
    if (field.number == 3) type = field.value;
    return {};
  }));
  if (type < 1 || type > 6 || !is_valid_utf8(piece) || score != score) {
    return bad_input("piece " + std::to_string(model.pieces.size()) + " is bad",
                     std::string(where));
  }
  model.pieces.push_back(std::move(piece));
  model.types.push_back(static_cast<PieceType>(type));
  model.scores.push_back(score);
  return {};
}

Status read_trainer(Bytes message, SentencePieceModel& model, TrainerFacts& facts,
                    std::string_view where) {
  return for_each_field(message, where, [&](const Field& field) -> Status {
    if (field.number == 3) facts.model_type = field.value;
    if (field.number == 24) model.normalization.whitespace_as_suffix = field.value != 0;
    if (field.number == 35) model.byte_fallback = field.value != 0;
    if (field.number == 46) facts.bos = as_text(field.bytes);
    if (field.number == 47) facts.eos = as_text(field.bytes);
    return {};
  });
}

Status read_normalizer(Bytes message, SentencePieceNormalization& rules, std::string_view where) {
  return for_each_field(message, where, [&](const Field& field) -> Status {
    if (field.number == 2 && !field.bytes.empty()) {
      BUNDLE_TRY(rules.charsmap, Charsmap::parse(as_text(field.bytes)));
    }
    if (field.number == 3) rules.add_dummy_prefix = field.value != 0;
    if (field.number == 4) rules.remove_extra_whitespaces = field.value != 0;
    if (field.number == 5) rules.escape_whitespaces = field.value != 0;
    return {};
  });
}

Status check_model(SentencePieceModel& model, const TrainerFacts& facts, std::string_view where) {
  constexpr std::uint64_t kUnigram = 1;
  constexpr std::uint64_t kBpe = 2;
  if (model.pieces.empty()) return bad_input("the file has no pieces", std::string(where));
  if (facts.model_type != kUnigram && facts.model_type != kBpe) {
    return bad_input("the model is neither BPE nor unigram", std::string(where));
  }
  model.unigram = facts.model_type == kUnigram;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.types[id] == PieceType::kUnknown) model.unknown = static_cast<std::int32_t>(id);
  }
  return {};
}

}  // namespace

bool looks_like_sentencepiece(std::string_view bytes) {
  // The first piece: field 1 with its length, inside it field 1 again.
  ByteReader reader(as_bytes(bytes), "");
  auto field = read_field(reader);
  return !field.has_error() && field->number == 1 && !field->bytes.empty() &&
         as_text(field->bytes)[0] == '\n';
}

Result<std::shared_ptr<const Tokenizer>> load_sentencepiece(std::string_view bytes, bool add_bos,
                                                            std::string_view where) {
  SentencePieceModel model;
  TrainerFacts facts;
  BUNDLE_CHECK(for_each_field(as_bytes(bytes), where, [&](const Field& field) -> Status {
    if (field.number == 1) return read_piece(field.bytes, model, where);
    if (field.number == 2) return read_trainer(field.bytes, model, facts, where);
    if (field.number == 3) return read_normalizer(field.bytes, model.normalization, where);
    return {};
  }));
  BUNDLE_CHECK(check_model(model, facts, where));
  PipelineParts parts;
  BUNDLE_CHECK(build_sentencepiece(model, false, parts));
  parts.bos = parts.vocabulary.find(facts.bos);
  parts.eos = parts.vocabulary.find(facts.eos);
  if (add_bos && parts.bos) parts.before.push_back(*parts.bos);
  return make_pipeline(std::move(parts));
}

}  // namespace bundle::tokenizer
