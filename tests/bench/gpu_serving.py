#!/usr/bin/env python3
"""Serves a model of R1-Distill-Llama-8B's shape on a GPU and measures it over HTTP.

    gpu_serving.py SERVER [--backend LIBBUNDLE_CUDA_SO] [--folder /dev/shm/gpu_serving] [--set KEY=VALUE ...]

Weights are random (PyTorch makes them, 16 GB in the folder, kept for the next run), prompts are random
token ids, and nothing is streamed, so that the clients cost little. Prints the time until ready, times
to first token, the speed of one stream, and tokens a second of many at once.
"""

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

VOCAB, HIDDEN, LAYERS, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM = 128256, 4096, 32, 14336, 32, 8, 128
PORT = 18000


def make_model(folder):
    import torch
    from safetensors.torch import save_file

    def weights(*shape):
        return (torch.randn(*shape, device="cuda", dtype=torch.bfloat16) * 0.02).cpu()

    def ones():
        return torch.ones(HIDDEN, dtype=torch.bfloat16)

    os.makedirs(folder, exist_ok=True)
    names = {}

    def save(file, tensors):
        save_file(tensors, f"{folder}/{file}")
        names.update(dict.fromkeys(tensors, file))

    save("model-ends.safetensors", {"model.embed_tokens.weight": weights(VOCAB, HIDDEN),
                                    "lm_head.weight": weights(VOCAB, HIDDEN),
                                    "model.norm.weight": ones()})
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        shapes = {"self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN),
                  "self_attn.k_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
                  "self_attn.v_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
                  "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM),
                  "mlp.gate_proj": (INTERMEDIATE, HIDDEN), "mlp.up_proj": (INTERMEDIATE, HIDDEN),
                  "mlp.down_proj": (HIDDEN, INTERMEDIATE)}
        tensors = {f"{prefix}{name}.weight": weights(*shape) for name, shape in shapes.items()}
        tensors[prefix + "input_layernorm.weight"] = ones()
        tensors[prefix + "post_attention_layernorm.weight"] = ones()
        save(f"model-{layer:02}.safetensors", tensors)
    with open(f"{folder}/model.safetensors.index.json", "w") as file:
        json.dump({"metadata": {}, "weight_map": names}, file)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB,
              "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "head_dim": HEAD_DIM,
              "intermediate_size": INTERMEDIATE, "num_attention_heads": HEADS,
              "num_key_value_heads": KV_HEADS, "hidden_act": "silu", "rms_norm_eps": 1e-5,
              "rope_theta": 500000.0, "max_position_embeddings": 131072,
              "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file)


def ask(prompt_tokens, tokens, seed, temperature=0.0):
    """Seconds that one request takes."""
    draw = random.Random(seed)
    body = {"model": "m", "prompt": [draw.randrange(3, VOCAB - 300) for _ in range(prompt_tokens)],
            "max_tokens": tokens, "temperature": temperature, "seed": seed, "ignore_eos": True}
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=300)
    begin = time.perf_counter()
    connection.request("POST", "/v1/completions", json.dumps(body),
                       {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200 or answer["usage"]["completion_tokens"] != tokens:
        raise RuntimeError(answer)
    return time.perf_counter() - begin


def wait_ready(server):
    while server.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.02)
    sys.exit(f"the server ended with {server.returncode}")


def measure():
    ask(16, 8, 0)
    for tokens in (1, 512, 1500):
        best = min(ask(tokens, 1, tokens * 10 + i) for i in range(3))
        print(f"time to first token, prompt of {tokens}: {1e3 * best:.1f} ms")
    alone = ask(16, 256, 6) - ask(16, 1, 5)
    print(f"one stream: {255 / alone:.1f} tokens/s")
    for streams in (8, 32, 128, 256):
        threads = [threading.Thread(target=ask, args=(128, 128, 1000 * streams + i, 0.7))
                   for i in range(streams)]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - begin
        print(f"{streams} streams of 128 tokens in and 128 out: {128 * streams / took:.0f} tokens/s "
              f"out, {256 * streams / took:.0f} in and out")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("--backend", default="")
    parser.add_argument("--folder", default="/dev/shm/gpu_serving")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    if not os.path.exists(f"{options.folder}/config.json"):
        make = [sys.executable, "-c", f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); "
                f"import gpu_serving; gpu_serving.make_model({options.folder!r})"]
        subprocess.run(make, check=True)  # a process of its own, so that its GPU memory is given back
    settings = ["backend=cuda", "max_sequences=256", "context_length=2048"] + options.set
    command = [options.server, "--model", options.folder, "--name", "m", "--port", str(PORT)]
    for setting in settings:
        command += ["--set", setting]
    environment = dict(os.environ)
    if options.backend:
        environment["BUNDLE_CUDA_BACKEND"] = os.path.abspath(options.backend)
    with tempfile.TemporaryFile("w+") as log:
        begin = time.perf_counter()
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_ready(server)
            print(f"ready in {time.perf_counter() - begin:.2f} s")
            measure()
        finally:
            server.terminate()
            server.wait(60)
            log.seek(0)
            sys.stderr.write(log.read()[-2000:])


if __name__ == "__main__":
    main()
