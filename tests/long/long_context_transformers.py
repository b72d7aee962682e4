#!/usr/bin/env python3
"""What transformers answers after a long prompt, with sdpa in float32, for the tests to compare with.

    long_context_transformers.py FOLDER    needs torch and transformers

Reads FOLDER/config.json and FOLDER/expected.json (long_context.py has written it: the seed, the
length, and the answer in float64), prints how far the two implementations are apart, and puts
transformers' logits of the last position into expected.json."""
import json
import pathlib
import sys

import numpy as np
import torch
import transformers
from long_context import prompt_of, weight


def fill(model, seed):
    """Golden's formula under the published names; transformers holds experts in stacks."""
    for name, tensor in model.state_dict().items():
        make = lambda name, shape, kind="bfloat16": torch.from_numpy(weight(seed, name, shape, kind))
        if name.endswith("experts.gate_up_proj"):
            base, half = name.removesuffix("gate_up_proj"), tensor.shape[1] // 2
            for e in range(tensor.shape[0]):
                tensor[e, :half] = make(f"{base}{e}.gate_proj.weight", (half, tensor.shape[2]))
                tensor[e, half:] = make(f"{base}{e}.up_proj.weight", (half, tensor.shape[2]))
        elif name.endswith("experts.down_proj"):
            base = name.removesuffix("down_proj")
            for e in range(tensor.shape[0]):
                tensor[e] = make(f"{base}{e}.down_proj.weight", tuple(tensor.shape[1:]))
        else:
            wide = name.endswith("e_score_correction_bias")
            tensor.copy_(make(name, tuple(tensor.shape), "float32" if wide else "bfloat16"))


def main():
    folder = pathlib.Path(sys.argv[1])
    expected = json.loads((folder / "expected.json").read_text())
    config = transformers.AutoConfig.from_pretrained(folder)
    config._attn_implementation = "sdpa"
    with torch.no_grad():
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        assert model.config._attn_implementation == "sdpa"
        fill(model, expected["seed"])
        tokens = torch.tensor([prompt_of(expected["length"], config.vocab_size)])
        cache = transformers.DynamicCache()
        # In pieces: at once, the scores alone take 8 GB.
        for piece in tokens.split(1024, dim=1):
            answer = model(piece, past_key_values=cache, use_cache=True, logits_to_keep=1)
        last = answer.logits[0, -1].double().numpy()
    print(f"{np.abs(last - expected['last']).max():.2e} off the float64 implementation")
    expected["transformers"] = {
        "source": f"transformers {transformers.__version__}, torch {torch.__version__}, sdpa, float32",
        "last": [round(float(x), 6) for x in last],
    }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


main()
