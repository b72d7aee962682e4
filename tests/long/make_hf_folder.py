#!/usr/bin/env python3
"""Turns a Llama GGUF into a Hugging Face folder: sharded bfloat16 safetensors and a tokenizer.

    make_hf_folder.py MODEL.gguf OUT_DIR        needs torch, transformers, accelerate, gguf"""
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

gguf = pathlib.Path(sys.argv[1]).resolve()
where = dict(pretrained_model_name_or_path=str(gguf.parent), gguf_file=gguf.name)
read = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
# A model read from GGUF refuses to be saved; one of the same configuration does not.
settings = read.config.to_dict()
settings.pop("quantization_config", None)
model = AutoModelForCausalLM.from_config(type(read.config)(**settings))
model.load_state_dict(read.state_dict())
model.to(torch.bfloat16).save_pretrained(sys.argv[2], max_shard_size="100MB")
AutoTokenizer.from_pretrained(**where).save_pretrained(sys.argv[2])
