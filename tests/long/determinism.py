#!/usr/bin/env python3
"""1,000 of 1,000 equal answers: alone, in crowds of 2 to 32, in any order, with and without the
prefix cache; half of them greedy, half sampled with a fixed seed.

    determinism.py BUNDLE_SERVER MODEL [COUNT] [--seed N]

Exit code 1 when any answer differs.
"""

import argparse
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "bench"))
from serving_client import Server  # noqa: E402

PROMPTS = ["The capital of France is", "Once upon a time, a small robot", "def fibonacci(n):", "List three colours:",
           "Dear Sir or Madam,", "In 1905 Einstein", "The recipe needs", "To be, or not to be"]


def requests():
    out = []
    for i, prompt in enumerate(PROMPTS):
        common = {"model": "m", "prompt": prompt, "max_tokens": 24, "logprobs": 1}
        out.append({**common, "temperature": 0})
        out.append({**common, "temperature": 0.9, "top_p": 0.95, "seed": 1000 + i})
    return out


def answer(server, request):
    choice = server.complete(**request)["choices"][0]
    return choice["text"], tuple(choice["logprobs"]["token_logprobs"])


def crowd(server, batch, found):
    def worker(index, request):
        found.append((index, answer(server, request)))
    threads = [threading.Thread(target=worker, args=pair) for pair in batch]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("count", nargs="?", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    rng = random.Random(options.seed)
    asked = requests()
    with Server(options.program, options.model) as cached, \
            Server(options.program, options.model, "--set", "prefix_cache=false") as plain:
        expected = [answer(plain, request) for request in asked]
        found = []
        while len(found) < options.count:
            size = min(rng.choice([1, 2, 3, 5, 8, 13, 21, 32]), options.count - len(found))
            batch = [(i, asked[i]) for i in (rng.randrange(len(asked)) for _ in range(size))]
            crowd(rng.choice([cached, plain]), batch, found)
    equal = sum(got == expected[index] for index, got in found)
    print(f"determinism: {equal} of {len(found)} answers equal, text and log-probabilities")
    return 0 if equal == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
