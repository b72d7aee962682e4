#!/usr/bin/env python3
"""What DeepSeek-V3 answers after a long prompt, by an implementation of its own in numpy, float64.

    long_context.py --check GOLDEN_FOLDER       compares it with transformers' stored logits
    long_context.py FOLDER LENGTH [--seed N]    writes FOLDER/expected.json for FOLDER/config.json

Weights are golden's formula (tests/golden/golden_weights.h), rounded to bfloat16. The prompt's token
i is (i * i * 7 + i * 31) % vocab. Attention runs in the expanded form, in blocks of queries, so that
memory stays small; everything follows transformers' modeling_deepseek_v3 and modeling_rope_utils."""
import argparse
import json
import math
import pathlib

import numpy as np


def weight(seed, name, shape, dtype="bfloat16"):
    h = 0xCBF29CE484222325
    for byte in f"{seed}:{name}".encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    if name.endswith("e_score_correction_bias"):
        offset, scale = 0, 0.2
    elif "embed_tokens" in name:
        offset, scale = 0, 1.7
    elif name.endswith("norm.weight"):
        offset, scale = 1, 0.35
    else:
        offset, scale = 0, 2 / float(shape[-1]) ** 0.5
    values = (u * np.float32(scale) + np.float32(offset)).reshape(shape)
    if dtype == "bfloat16":
        bits = values.view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
        values = rounded.view(np.float32)
    return values.astype(np.float64)


def prompt_of(length, vocab):
    return [(i * i * 7 + i * 31) % vocab for i in range(length)]


def norm(x, w, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w


def silu(x):
    return x / (1 + np.exp(-x))


def mscale(factor, m):
    return 1.0 if factor <= 1 else 0.1 * m * math.log(factor) + 1.0


class Rope:
    def __init__(self, c):
        s, dim = c["rope_scaling"], c["qk_rope_head_dim"]
        base, factor, original = c["rope_theta"], s["factor"], s["original_max_position_embeddings"]
        pairs = np.arange(0, dim, 2) / dim
        kept, divided = base**-pairs, base**-pairs / factor
        index = lambda turns: dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))
        low, high = max(math.floor(index(s["beta_fast"])), 0), min(math.ceil(index(s["beta_slow"])), dim - 1)
        ramp = np.clip((np.arange(dim // 2) - low) / ((high - low) or 0.001), 0, 1)
        self.frequencies = divided * ramp + kept * (1 - ramp)
        self.factor = mscale(factor, s["mscale"]) / mscale(factor, s["mscale_all_dim"])
        self.score_factor = mscale(factor, s["mscale_all_dim"]) ** 2

    def __call__(self, x):
        """x (tokens, …, dim): rotates pairs (2i, 2i + 1)."""
        angle = np.arange(len(x))[:, None] * self.frequencies
        shape = (len(x),) + (1,) * (x.ndim - 2) + (-1,)
        cos, sin = (np.cos(angle) * self.factor).reshape(shape), (np.sin(angle) * self.factor).reshape(shape)
        a, b = x[..., 0::2], x[..., 1::2]
        out = np.empty_like(x)
        out[..., 0::2], out[..., 1::2] = a * cos - b * sin, b * cos + a * sin
        return out


class DeepseekV3:
    def __init__(self, config, seed):
        self.c, self.seed, self.rope = config, seed, Rope(config)

    def w(self, name, *shape, dtype="bfloat16"):
        return weight(self.seed, name, shape, dtype)

    def attention(self, x, p):
        c = self.c
        heads, nope, rope, value = (c[k] for k in ("num_attention_heads", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
        rank, low, hidden, eps, n = c["kv_lora_rank"], c["q_lora_rank"], c["hidden_size"], c["rms_norm_eps"], len(x)
        q = norm(x @ self.w(p + "q_a_proj.weight", low, hidden).T, self.w(p + "q_a_layernorm.weight", low), eps)
        q = (q @ self.w(p + "q_b_proj.weight", heads * (nope + rope), low).T).reshape(n, heads, nope + rope)
        latent = x @ self.w(p + "kv_a_proj_with_mqa.weight", rank + rope, hidden).T
        both = norm(latent[:, :rank], self.w(p + "kv_a_layernorm.weight", rank), eps)
        both = (both @ self.w(p + "kv_b_proj.weight", heads * (nope + value), rank).T).reshape(n, heads, nope + value)
        q_rope, k_rope = self.rope(q[..., nope:]), self.rope(latent[:, rank:])
        out = np.empty((n, heads, value))
        scale = self.rope.score_factor / math.sqrt(nope + rope)
        for h in range(heads):
            keys = np.concatenate([both[:, h, :nope], k_rope], -1)
            queries = np.concatenate([q[:, h, :nope], q_rope[:, h]], -1)
            for begin in range(0, n, 512):
                end = min(n, begin + 512)
                scores = queries[begin:end] @ keys[:end].T * scale
                scores[np.arange(begin, end)[:, None] < np.arange(end)[None]] = -np.inf
                scores = np.exp(scores - scores.max(-1, keepdims=True))
                out[begin:end, h] = scores @ both[:end, h, nope:] / scores.sum(-1, keepdims=True)
        return out.reshape(n, -1) @ self.w(p + "o_proj.weight", hidden, heads * value).T

    def mlp(self, x, p, width):
        hidden = self.c["hidden_size"]
        gate, up = (x @ self.w(f"{p}{name}_proj.weight", width, hidden).T for name in ("gate", "up"))
        return (silu(gate) * up) @ self.w(p + "down_proj.weight", hidden, width).T

    def experts(self, x, p):
        c = self.c
        count, groups, top = c["n_routed_experts"], c["n_group"], c["num_experts_per_tok"]
        score = 1 / (1 + np.exp(-(x @ self.w(p + "gate.weight", count, c["hidden_size"]).T)))
        choice = score + self.w(p + "gate.e_score_correction_bias", count, dtype="float32")
        grouped = np.sort(choice.reshape(len(x), groups, -1), -1)[..., -2:].sum(-1)
        kept = np.argsort(-grouped, -1, kind="stable")[:, : c["topk_group"]]
        mask = np.zeros_like(grouped, dtype=bool)
        np.put_along_axis(mask, kept, True, -1)
        choice = np.where(np.repeat(mask, count // groups, -1), choice, -np.inf)
        chosen = np.argsort(-choice, -1, kind="stable")[:, :top]
        weights = np.take_along_axis(score, chosen, -1)
        weights = weights / (weights.sum(-1, keepdims=True) + 1e-20) * c["routed_scaling_factor"]
        out = self.mlp(x, p + "shared_experts.", c["n_shared_experts"] * c["moe_intermediate_size"])
        for e in range(count):
            rows, places = np.nonzero(chosen == e)
            if len(rows):
                part = self.mlp(x[rows], f"{p}experts.{e}.", c["moe_intermediate_size"])
                np.add.at(out, rows, part * weights[rows, places][:, None])
        return out

    def last_logits(self, tokens):
        c = self.c
        x = self.w("model.embed_tokens.weight", c["vocab_size"], c["hidden_size"])[np.array(tokens)]
        for i in range(c["num_hidden_layers"]):
            p = f"model.layers.{i}."
            take = lambda name: self.w(p + name, c["hidden_size"])
            x = x + self.attention(norm(x, take("input_layernorm.weight"), c["rms_norm_eps"]), p + "self_attn.")
            y = norm(x, take("post_attention_layernorm.weight"), c["rms_norm_eps"])
            dense = i < c["first_k_dense_replace"]
            x = x + (self.mlp(y, p + "mlp.", c["intermediate_size"]) if dense else self.experts(y, p + "mlp."))
        x = norm(x[-1], self.w("model.norm.weight", c["hidden_size"]), c["rms_norm_eps"])
        return self.w("lm_head.weight", c["vocab_size"], c["hidden_size"]) @ x


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", type=pathlib.Path)
    ap.add_argument("length", type=int, nargs="?")
    ap.add_argument("--check", action="store_true")
    ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args()
    config = json.loads((a.folder / "config.json").read_text())
    if a.check:
        expected = json.loads((a.folder / "expected.json").read_text())
        model = DeepseekV3(config, expected["seed"])
        for prompt in expected["prompts"]:
            off = np.abs(model.last_logits(prompt["tokens"]) - prompt["last"]).max()
            print(f"{len(prompt['tokens'])} tokens: {off:.2e} off")
            assert off < 1e-4
        return
    vocab = config["vocab_size"]
    last = DeepseekV3(config, a.seed).last_logits(prompt_of(a.length, vocab))
    text = json.dumps(dict(seed=a.seed, length=a.length, last=[round(float(x), 6) for x in last]))
    (a.folder / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
