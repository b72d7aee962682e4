#!/usr/bin/env python3
"""Serving figures, each beside what it is compared with, in one run.

    serving.py WHAT BUNDLE_SERVER MODEL

WHAT: ttft      a cached prefix of 1,500 tokens beside an uncached one
      prefix    what the prefix cache costs where nothing hits
      streams   tokens a second of 8 streams over HTTP beside the engine in one process
      pace      gaps between tokens of a stream while a prompt of 2,000 tokens is computed beside it
      health    /health on one core beside uvicorn with FastAPI (BENCH_PYTHON names a Python with both)
      all       all of them
"""

import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time

from serving_client import Server, all_stream_times, exchange, post, quantile, stream_times

GREEDY = {"model": "m", "temperature": 0, "ignore_eos": True}


def tokens(count, seed):
    return [random.Random(seed).randrange(100, 40000) for _ in range(1)] + \
           [random.Random(seed * 7919 + i).randrange(100, 40000) for i in range(count - 1)]


def first_token(server, prompt):
    start = time.monotonic()
    times, _ = stream_times(server, {**GREEDY, "prompt": prompt, "max_tokens": 1})
    return times[0] - start


def ttft(program, model):
    with Server(program, model) as server:
        first_token(server, tokens(64, 1))
        fresh, cached = [], []
        for seed in range(2, 9):
            prefix = tokens(1500, seed)
            fresh.append(first_token(server, prefix + tokens(8, seed + 100)))
            cached.append(first_token(server, prefix + tokens(8, seed + 200)))
        before, after = statistics.median(fresh), statistics.median(cached)
        print(f"ttft: 1,500 tokens uncached {before * 1e3:.1f} ms, cached {after * 1e3:.1f} ms, "
              f"ratio {after / before:.4f} (at most 0.05)")


CACHE_TOKENS = 4096


def prefix_round(program, model, turn):
    """Pairs of seconds for one request with the cache and without, on servers of this round's own."""
    def seconds(server, seed):
        start = time.monotonic()
        server.complete(**GREEDY, prompt=tokens(256, seed), max_tokens=16)
        return time.monotonic() - start
    settings = [["--set", f"kv_tokens={CACHE_TOKENS}"], ["--set", f"kv_tokens={CACHE_TOKENS}",
                                                         "--set", "prefix_cache=false"]]
    swapped = turn % 2 == 1
    first, second = settings[::-1] if swapped else settings
    with Server(program, model, *first) as one, Server(program, model, *second) as other:
        on, off = (other, one) if swapped else (one, other)
        for seed in range(CACHE_TOKENS // 256 + 4):
            seconds(on, seed), seconds(off, seed)
        pairs = []
        for seed in range(1000 * (turn + 1), 1000 * (turn + 1) + 20):
            begins, ends = (on, off) if seed % 2 else (off, on)
            taken = {begins: seconds(begins, seed), ends: seconds(ends, seed)}
            pairs.append((taken[on], taken[off]))
        return pairs, on.metric("vllm:prefix_cache_hits_total")


def prefix(program, model):
    """One request here, the same one there, in turns of half a second, so that whatever else the machine
    does meets both; the cache is full before anything counts, since memory that is touched for the first
    time costs whoever touches it; and servers are started anew, since where memory lies makes one process
    a few per cent faster than another."""
    pairs, rounds, hits = [], [], 0
    for turn in range(6):
        these, hit = prefix_round(program, model, turn)
        pairs += these
        hits += hit
        rounds.append(statistics.median(a / b for a, b in these))
        print(f"  round {turn + 1}: with / without the cache {rounds[-1]:.4f}", flush=True)
    ratios = [a / b for a, b in pairs]
    print(f"prefix: seconds with the cache / without, full, nothing hits ({hits:.0f} tokens): median "
          f"{statistics.median(ratios):.4f} of {len(ratios)} pairs, of rounds {statistics.median(rounds):.4f}, "
          f"sums {sum(a for a, _ in pairs) / sum(b for _, b in pairs):.4f} (at most 1.01)")


def http_rate(server, count, output):
    bodies = [{**GREEDY, "prompt": tokens(16, 500 + i), "max_tokens": output} for i in range(count)]
    results = all_stream_times(server, bodies)
    first, last = min(t[0] for t in results), max(t[-1] for t in results)
    return (sum(map(len, results)) - count) / (last - first)


def process_rate(program, model, count, output, threads):
    bundle = os.path.join(os.path.dirname(program), "bundle")
    answer = subprocess.run([bundle, "bench", model, "--streams", str(count), "--output-tokens", str(output - 1),
                             "--prompt-tokens", "16", "--repetitions", "1", "--threads", str(threads),
                             "--output", "json"], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)["streams_tok_s"]


def stream_ratios(program, model, threads):
    """Alternately, so that the machine's moods hit both; and a new server each round, as each run in one
    process is a new one, since where memory lies makes one process a few per cent faster than another."""
    count, output, ratios = 8, 193, []
    for turn in range(8):
        with Server(program, model, "--set", f"threads={threads}") as server:
            http_rate(server, count, 16)
            for pair in range(3):
                rates = {}
                for side in ("inside", "outside")[::-1 if (turn + pair) % 2 else 1]:
                    rates[side] = (process_rate(program, model, count, output, threads) if side == "inside"
                                   else http_rate(server, count, output))
                ratios.append(rates["outside"] / rates["inside"])
                print(f"  {count} streams: in one process {rates['inside']:.1f} tokens/s, over HTTP "
                      f"{rates['outside']:.1f}, ratio {ratios[-1]:.3f}", flush=True)
    return ratios


def streams(program, model):
    """With a core for the HTTP side and the client, and with the engine's threads on every core, where they
    can only take time from it."""
    cores = len(os.sched_getaffinity(0))
    for threads in [max(1, cores - 1), cores]:
        ratios = stream_ratios(program, model, threads)
        print(f"streams: {threads} threads of {cores} cores: median ratio {statistics.median(ratios):.3f} of "
              f"{len(ratios)} pairs (at least 0.98)", flush=True)


def pace(program, model):
    with Server(program, model) as server:
        first_token(server, tokens(600, 3))  # the pacer has measured
        gaps, alone = [], []
        for seed in range(3):
            times = []
            def read():
                got, _ = stream_times(server, {**GREEDY, "prompt": tokens(16, 40 + seed), "max_tokens": 900})
                times.extend(got)
            thread = threading.Thread(target=read)
            thread.start()
            time.sleep(2)
            begin = time.monotonic()
            first_token(server, tokens(2000, 70 + seed))
            end = time.monotonic()
            thread.join()
            pairs = list(zip(times, times[1:]))
            gaps += [b - a for a, b in pairs if a >= begin and b <= end]
            alone += [b - a for a, b in pairs if b < begin]
    middle, late = quantile(gaps, 0.5), quantile(gaps, 0.99)
    print(f"pace: {len(gaps)} gaps beside a prompt of 2,000 tokens: p50 {middle * 1e3:.1f} ms, p99 {late * 1e3:.1f} ms, "
          f"ratio {late / middle:.2f} (at most 2); undisturbed p50 {quantile(alone, 0.5) * 1e3:.1f} ms")


LOAD = r"""
import select, socket, sys, time
port, seconds, count = int(sys.argv[1]), float(sys.argv[2]), 32
request = b"GET /health HTTP/1.1\r\nHost: m\r\n\r\n"
batch = 16  # pipelined, so that the client is not what is measured
poll, left = select.epoll(), {}
for _ in range(count):
    s = socket.create_connection(("127.0.0.1", port)); s.setblocking(False)
    poll.register(s, select.EPOLLIN); left[s.fileno()] = [s, batch]; s.send(request * batch)
done, until = 0, time.monotonic() + seconds
start = time.monotonic()
while time.monotonic() < until:
    for fd, _ in poll.poll(1):
        entry = left[fd]; n = entry[0].recv(1 << 16).count(b"HTTP/1.1 200")
        done += n; entry[1] -= n
        if entry[1] <= 0: entry[1] = batch; entry[0].send(request * batch)
print(done / (time.monotonic() - start))
"""


def requests_per_second(port, seconds=5):
    answer = subprocess.run(["taskset", "-c", "1", sys.executable, "-c", LOAD, str(port), str(seconds)],
                            capture_output=True, text=True, check=True)
    return float(answer.stdout)


APP = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/health")
async def health(): return {"status": "ok"}
"""


def uvicorn_rate(folder):
    with open(os.path.join(folder, "health_app.py"), "w") as file:
        file.write(APP)
    port = 18099
    process = subprocess.Popen(
        ["taskset", "-c", "0", os.environ["BENCH_PYTHON"], "-m", "uvicorn", "health_app:app", "--port", str(port),
         "--log-level", "warning", "--no-access-log"], cwd=folder)
    try:
        for _ in range(200):
            try:
                exchange(__import__("socket").create_connection(("127.0.0.1", port)),
                         b"GET /health HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
                break
            except OSError:
                time.sleep(0.05)
        return requests_per_second(port)
    finally:
        process.terminate()
        process.wait()


def health(program, model):
    import tempfile
    ratios = []
    with Server(program, model) as server, tempfile.TemporaryDirectory() as folder:
        subprocess.run(["taskset", "-a", "-p", "-c", "0", str(server.process.pid)], check=True, capture_output=True)
        for _ in range(3):
            ours, theirs = requests_per_second(server.port), uvicorn_rate(folder)
            ratios.append(ours / theirs)
            print(f"  /health on one core: {ours:.0f} requests/s, uvicorn with FastAPI {theirs:.0f}, ratio {ratios[-1]:.1f}")
    print(f"health: median ratio {statistics.median(ratios):.1f} (at least 8)")


WHAT = {"ttft": ttft, "prefix": prefix, "streams": streams, "pace": pace, "health": health}

if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in (*WHAT, "all"):
        sys.exit(__doc__)
    for name in WHAT if sys.argv[1] == "all" else [sys.argv[1]]:
        WHAT[name](sys.argv[2], sys.argv[3])
