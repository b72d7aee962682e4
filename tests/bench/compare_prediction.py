#!/usr/bin/env python3
"""How near `bundle size --here` comes to `bundle bench` on this machine, alternately, in one run.

    tests/bench/compare_prediction.py MODEL [--bundle build/release/bin/bundle] [--rounds 3]
                                      [--threads 2] [--tolerance 0.15]

MODEL is a bundle, a model folder or a .gguf. Prints the medians of both and their ratios; exit
code 1 when decode or prefill is further off than the tolerance.
"""

import argparse
import json
import statistics
import subprocess
import sys


def answer(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model")
    parser.add_argument("--bundle", default="build/release/bin/bundle")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--output-tokens", type=int, default=128)
    parser.add_argument("--tolerance", type=float, default=0.15)
    options = parser.parse_args()

    predict = [options.bundle, "size", options.model, "--here", "--threads", str(options.threads),
               "--output", "json", "--output-tokens", str(options.output_tokens)]
    bench = [options.bundle, "bench", options.model, "--threads", str(options.threads),
             "--prompt-tokens", str(options.prompt_tokens), "--output-tokens",
             str(options.output_tokens), "--streams", "1", "--repetitions", "3", "--output", "json"]
    predicted = {"prefill_tok_s": [], "decode_tok_s": []}
    measured = {"prefill_tok_s": [], "decode_tok_s": []}
    for _ in range(options.rounds):
        # `bench` decodes behind a prompt of one token, and computes its long prompt apart; the
        # median of three is of weights and buffers that were touched before, as is what we predict.
        short = answer(predict + ["--input-tokens", "1"])["cpu"]
        real = answer(bench)
        long = answer(predict + ["--input-tokens", str(options.prompt_tokens)])["cpu"]
        predicted["decode_tok_s"].append(short["decode_tok_s"])
        predicted["prefill_tok_s"].append(long["prefill_tok_s"])
        for key, values in measured.items():
            values.append(real[key])

    worst = 0.0
    print(f"{'':14} {'predicted':>10} {'measured':>10} {'off by':>8}")
    for key in ("decode_tok_s", "prefill_tok_s"):
        guess = statistics.median(predicted[key])
        truth = statistics.median(measured[key])
        worst = max(worst, abs(guess / truth - 1))
        print(f"{key:14} {guess:10.1f} {truth:10.1f} {100 * (guess / truth - 1):+7.1f} %")
    return 1 if worst > options.tolerance else 0


if __name__ == "__main__":
    sys.exit(main())
