#!/usr/bin/env python3
"""Compares single steps of tokenizer.json, and trained SentencePiece models, with the references.

For each normalizer, pre-tokenizer and decoder a tokenizer.json is made whose vocabulary holds every
word that the reference cuts out of the corpus: so equal ids mean equal words.

usage: components_oracle_test.py TOKENIZE_TOOL MODEL_DATA [NAME...]
"""

import json
import os
import sys
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors

import corpus
from oracle_test import Case, check

N, P = normalizers, pre_tokenizers

NORMALIZERS = {
    "NFC": N.NFC(), "NFD": N.NFD(), "NFKC": N.NFKC(), "NFKD": N.NFKD(), "Lowercase": N.Lowercase(),
    "StripAccents": N.Sequence([N.NFD(), N.StripAccents()]), "Strip": N.Strip(),
    "StripLeft": N.Strip(left=True, right=False), "Prepend": N.Prepend("▁"),
    "Replace": N.Replace(" ", "▁"),
    "ReplaceRegex": N.Replace(Regex(r"\s{2,}|\p{P}x?"), "_"),
    "Bert": N.BertNormalizer(), "BertCased": N.BertNormalizer(lowercase=False, strip_accents=False),
    "ByteLevel": N.ByteLevel(),
    "Llama": N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]),
}
PRE_TOKENIZERS = {
    "Whitespace": P.Whitespace(), "WhitespaceSplit": P.WhitespaceSplit(), "Bert": P.BertPreTokenizer(),
    "Punctuation": P.Punctuation(), "PunctuationContiguous": P.Punctuation("contiguous"),
    "Digits": P.Digits(), "DigitsEach": P.Digits(individual_digits=True),
    "Metaspace": P.Metaspace(), "MetaspaceFirst": P.Metaspace(prepend_scheme="first"),
    "MetaspaceNever": P.Metaspace(prepend_scheme="never", split=False),
    "ByteLevel": P.ByteLevel(), "ByteLevelPlain": P.ByteLevel(add_prefix_space=False, use_regex=False),
    "Delimiter": P.CharDelimiterSplit("e"), "FixedLength": P.FixedLength(3),
    "ByteLevelThenSplit": P.Sequence([P.ByteLevel(), P.Split("Ġ", "merged_with_next")]),
    "MetaspaceInSequence": P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="first")]),
    "MetaspaceAfterDigits": P.Sequence([P.Digits(), P.Metaspace(prepend_scheme="always")]),
}
BEHAVIORS = "removed isolated merged_with_previous merged_with_next contiguous".split()
PATTERNS = [
    r"\w+", r"\W", r"\b", r"^.", r".$", r"(?=\d{3})", r"(?<=\s)\S", r"(?<!a|bc)e", r"(?i)[a-cſ]+",
    r"(?i:straße|ǆ|σ)", r"[[:punct:]]+", r"[[:alpha:]&&[^aeiou]]+", r"\h{2,3}", r"a{,2}b?", r"(?>\s+)x?",
    r"\p{Han}|\p{Hiragana}+", r"[^\P{L}a-z]+", r"\p{^L}", r"(?m).{5}", r".{5}?", r"x*?y", r"\s++.",
    r"(a|ab)(c|bcd)*", r"[\]\-a]", r"\u00e9|\x{4e00}", r"(\d+)(?=(?:\d{3})*\b)", r"\p{Lu}\p{Ll}*",
    r"(?:[^\r\n]{3})+?", r"\A\s|\s\z", r"['’](?i:[sdmt]|ll|ve|re)", r"[+-]?\d+(\.\d+)?", r"\p{Alnum}{2}",
    r"\S+?(?=[aeiou]|$)", r"(?:x|y|)z?", r"\p{M}+|\p{So}|\p{Cf}", r"[a-z]{2}{2}", r"(?:ab){1,2}+",
]


def words_of(tokenizer, documents):
    """Every word that reaches the model."""
    words = set()
    for text in documents:
        if tokenizer.normalizer:
            text = tokenizer.normalizer.normalize_str(text)
        if tokenizer.pre_tokenizer:
            words.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
        else:
            words.add(text)
    return sorted(words)


def word_case(name, folder, documents, normalizer=None, pre_tokenizer=None):
    tokenizer = Tokenizer(models.WordLevel({}, unk_token="[UNK]"))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    vocabulary = {word: i + 1 for i, word in enumerate(words_of(tokenizer, documents))}
    tokenizer.model = models.WordLevel({"[UNK]": 0, **vocabulary}, unk_token="[UNK]")
    return saved(name, folder, tokenizer)


def saved(name, folder, tokenizer, decode=False):
    path = os.path.join(folder, "".join(c if c.isalnum() else "_" for c in name) + ".json")
    tokenizer.save(path)
    return Case(name, path, lambda text: tokenizer.encode(text).ids,
                (lambda ids: tokenizer.decode(ids, skip_special_tokens=False)) if decode else None)


def added_token_case(folder):
    """Every combination of an added token's five switches."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.normalizer = N.Lowercase()
    tokenizer.pre_tokenizer = P.WhitespaceSplit()
    for bits in range(32):
        token = AddedToken(f"T{bits}", single_word=bits & 1 > 0, lstrip=bits & 2 > 0,
                           rstrip=bits & 4 > 0, normalized=bits & 8 > 0)
        (tokenizer.add_special_tokens if bits & 16 else tokenizer.add_tokens)([token])
    tokenizer.add_tokens(["a", "ab", "abc", "bcd", " "])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="T0:0 $A:0 T1:0 T1:0", special_tokens=[("T0", 1), ("T1", 2)])
    return saved("added tokens", folder, tokenizer)


def added_token_texts():
    import random

    r = random.Random(3)
    parts = [f"T{i}" for i in range(32)] + ["t9", "a", "ab", "abcd", "x", "é", " ", "  ", "\n", "\u3000", "_", "."]
    return ["".join(r.choice(parts) for _ in range(r.randrange(1, 12))) for _ in range(8000)]


def trained_cases(folder, documents):
    """Small models that the reference trains here."""
    from tokenizers import trainers

    lines = [d for d in documents if len(d) < 2000]
    decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                 decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    bpe.normalizer = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
    bpe.decoder = decoder
    bpe.train_from_iterator(lines[:600], trainers.BpeTrainer(
        vocab_size=1500, limit_alphabet=200, show_progress=False, special_tokens=["<unk>", "<s>"]))
    yield saved("BPE with unknown", folder, bpe, decode=True)
    state = json.loads(bpe.to_str())
    state["model"]["byte_fallback"] = True
    for i in range(256):
        state["model"]["vocab"][f"<0x{i:02X}>"] = len(state["model"]["vocab"])
    yield saved("BPE with byte fallback", folder, Tokenizer.from_str(json.dumps(state)))
    suffix = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    suffix.pre_tokenizer = P.Whitespace()
    suffix.decoder = decoders.BPEDecoder("</w>")
    suffix.train_from_iterator(lines[:600], trainers.BpeTrainer(
        vocab_size=1500, end_of_word_suffix="</w>", show_progress=False, special_tokens=["<unk>"]))
    yield saved("BPE with word suffix", folder, suffix, decode=True)
    piece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    piece.normalizer, piece.pre_tokenizer = N.BertNormalizer(), P.BertPreTokenizer()
    piece.decoder = decoders.WordPiece()
    piece.train_from_iterator(lines[:600], trainers.WordPieceTrainer(
        vocab_size=1500, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]"]))
    piece.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    yield saved("WordPiece", folder, piece, decode=True)
    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer, unigram.decoder = P.Metaspace(), decoders.Metaspace()
    unigram.train_from_iterator(lines[:600], trainers.UnigramTrainer(
        vocab_size=6000, unk_token="<unk>", show_progress=False, special_tokens=["<unk>"]))
    yield saved("Unigram", folder, unigram, decode=True)


def sentencepiece_cases(folder, documents):
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    lines = [line for d in documents for line in d.split("\n") if 0 < len(line) < 500]
    variants = {
        "unigram": {"model_type": "unigram"},
        "unigram bytes": {"model_type": "unigram", "byte_fallback": True,
                          "normalization_rule_name": "nfkc_cf"},
        "unigram identity": {"model_type": "unigram", "normalization_rule_name": "identity",
                             "remove_extra_whitespaces": False, "add_dummy_prefix": False},
        "bpe": {"model_type": "bpe"},
        "bpe user defined": {"model_type": "bpe", "user_defined_symbols": ["<tool>", "foo bar", "12"],
                             "byte_fallback": True},
        "unigram user defined": {"model_type": "unigram", "user_defined_symbols": ["<tool>", "the"]},
        "bpe suffix": {"model_type": "bpe", "treat_whitespace_as_suffix": True},
        "bpe across words": {"model_type": "bpe", "split_by_whitespace": False},
    }
    for name, options in variants.items():
        prefix = os.path.join(folder, name.replace(" ", "_"))
        SentencePieceTrainer.train(sentence_iterator=iter(lines[:3000]), model_prefix=prefix,
                                   vocab_size=1200, character_coverage=0.98, minloglevel=2,
                                   hard_vocab_limit=False, **options)
        reference = SentencePieceProcessor(model_file=prefix + ".model")
        yield Case("sentencepiece " + name, prefix + ".model", reference.encode,
                   flags=("--plain",))


def main():
    tool, wanted = sys.argv[1], sys.argv[3:]
    documents = [d for d in corpus.texts(small=2500, long=1) if len(d) < 20_000]
    points = [f"{chr(c)}a{chr(c)} B{chr(c)}1\u0301{chr(c)}" for c in range(0x110000)
              if not 0xD800 <= c < 0xE000]
    if not corpus.FULL:
        documents, points = documents[::8], points[::13]
    wrong = 0

    def test(case, sets):
        return check(tool, case, sets) if not wanted or any(w in case.name for w in wanted) else 0

    with tempfile.TemporaryDirectory() as folder:
        for name, step in NORMALIZERS.items():
            if not wanted or any(w in "normalizer " + name for w in wanted):
                sets = {"texts": documents, "points": points[::3 if not wanted else 1]}
                wrong += test(word_case("normalizer " + name, folder, sum(sets.values(), []), step), sets)
        for name, step in PRE_TOKENIZERS.items():
            if not wanted or any(w in "pre-tokenizer " + name for w in wanted):
                sets = {"texts": documents, "points": points[::7 if not wanted else 1]}
                wrong += test(word_case("pre-tokenizer " + name, folder, sum(sets.values(), []),
                                        pre_tokenizer=step), sets)
        for i, pattern in enumerate(PATTERNS):
            step = P.Split(Regex(pattern), BEHAVIORS[i % 5], invert=i % 3 == 2)
            wrong += test(word_case("split " + pattern, folder, documents, pre_tokenizer=step),
                          {"texts": documents})
        wrong += test(added_token_case(folder), {"texts": added_token_texts()})
        for case in trained_cases(folder, documents):
            wrong += test(case, {"texts": documents})
        for case in sentencepiece_cases(folder, documents):
            wrong += test(case, {"texts": documents})
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
