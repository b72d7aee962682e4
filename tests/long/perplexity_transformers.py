#!/usr/bin/env python3
"""Perplexity of a text under a Hugging Face folder with transformers in float32, by llama-perplexity's
definition: chunks of CONTEXT tokens, each on its own, predictions of the second half count.

    perplexity_transformers.py FOLDER TEXT CONTEXT IDS_OUT

Writes the text's token ids to IDS_OUT as a JSON list and prints {"perplexity": …, "chunks": …}."""
import json
import math
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, text_file, context, ids_out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
text = open(text_file, encoding="utf-8").read().removesuffix("\n")
ids = AutoTokenizer.from_pretrained(folder).encode(text)
json.dump(ids, open(ids_out, "w"))
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
chunks = len(ids) // context
half = context // 2
total = 0.0
with torch.no_grad():
    for i in range(chunks):
        chunk = torch.tensor([ids[i * context : (i + 1) * context]])
        logits = model(chunk).logits[0, half:-1].double()
        total += torch.nn.functional.cross_entropy(logits, chunk[0, half + 1 :], reduction="sum").item()
print(json.dumps({"perplexity": math.exp(total / (chunks * (context - half - 1))), "chunks": chunks}))
