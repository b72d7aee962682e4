#!/usr/bin/env python3
"""Clients that leave at random moments: nothing leaks, and others' answers stay what they are.

    disconnects.py BUNDLE_SERVER MODEL [COUNT] [--seed N]

COUNT (10,000) clients connect, ask for streams or whole answers, and go after a random time: before the
request is whole, while it waits, in the middle of its output. Beside them honest clients ask the same
questions over and over. Afterwards nothing runs, no cache block is held, descriptors are as many as
before, and private memory has grown by no more than noise. Exit code 1 otherwise.
"""

import argparse
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "bench"))
from serving_client import Server, post  # noqa: E402

HONEST = [{"model": "m", "prompt": p, "max_tokens": 12, "temperature": 0} for p in ("The sea is", "Two and two are", "A cat")]


def leave(server, rng):
    body = {"model": "m", "prompt": " ".join(rng.choice(["sun", "moon", "star", "sea"]) for _ in range(rng.randrange(1, 60))),
            "max_tokens": rng.choice([1, 20, 400]), "stream": rng.random() < 0.7, "ignore_eos": True, "n": rng.choice([1, 1, 1, 3])}
    request = post("/v1/completions", body)
    try:
        connection = server.connect(10)
        kind = rng.random()
        if kind < 0.15:
            connection.sendall(request[:rng.randrange(1, len(request))])
        else:
            connection.sendall(request)
            if kind < 0.7:
                time.sleep(rng.random() * 0.05)
            else:  # in the middle of the output, or tired of waiting for it
                connection.settimeout(rng.random())
                try:
                    connection.recv(rng.randrange(1, 2000))
                except TimeoutError:
                    pass
        if rng.random() < 0.5:  # a reset instead of an end
            connection.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.close()
    except OSError:
        pass


def settle(server, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if server.metric("vllm:num_requests_running") + server.metric("vllm:num_requests_waiting") == 0:
            break
        time.sleep(0.1)
    time.sleep(2)


def state(server):
    settle(server)
    return {"running": server.metric("vllm:num_requests_running"), "kv": server.metric("vllm:kv_cache_usage_perc"),
            "connections": server.metric("bundle_http_connections"), "descriptors": server.descriptors(),
            "memory": server.resident()}


def warm(server, wave, count):
    """Clients until all pages of the small cache, which are touched once and stay, have been: the first state
    in which memory has not grown. A leak would grow in each wave, and in the one that counts."""
    before = None
    for _ in range(4):
        wave(count)
        now = state(server)
        if before and all(b <= a * 1.01 for a, b in zip(before["memory"], now["memory"])):
            return now
        before = now
    return before


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("count", nargs="?", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    bad = []
    with Server(options.program, options.model, "--set", "kv_tokens=8192", "--set", "server.max_queued_requests=4096") as server:
        expected = [server.complete(**request)["choices"][0]["text"] for request in HONEST]
        over = threading.Event()
        counts = {"honest": 0, "different": 0}

        def honest():
            rng = random.Random(options.seed)
            while not over.is_set():
                i = rng.randrange(len(HONEST))
                got = server.complete(**HONEST[i])["choices"][0]["text"]
                counts["honest"] += 1
                counts["different"] += got != expected[i]

        def disloyal(number, share):
            rng = random.Random(options.seed * 31 + number)
            for done in range(share):
                leave(server, rng)
                if number == 0 and done % 100 == 99:
                    print(f"{8 * (done + 1)} of {8 * share} clients have left", file=sys.stderr, flush=True)

        def wave(count):
            threads = [threading.Thread(target=disloyal, args=(n, count // 8)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        before = warm(server, wave, max(800, options.count // 4))
        witness = threading.Thread(target=honest)
        witness.start()
        wave(options.count)
        over.set()
        witness.join()
        after = state(server)
    print(f"before {before}\nafter  {after}")
    growth = [b / a - 1 for a, b in zip(before["memory"], after["memory"])]
    print(f"disconnects: {options.count}; honest answers {counts['honest']}, different {counts['different']}; "
          f"memory {', '.join(f'{g:+.2%}' for g in growth)}")
    bad += ["answers differ"] if counts["different"] else []
    bad += ["a request still runs"] if after["running"] else []
    bad += ["cache blocks are held"] if after["kv"] > 0 else []
    bad += ["connections stay open"] if after["connections"] > 1 else []
    bad += ["descriptors leak"] if after["descriptors"] != before["descriptors"] else []
    bad += ["memory grows"] if max(growth) > 0.05 else []
    print("\n".join(bad) or "nothing leaked")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
