#!/usr/bin/env python3
"""5,000 slow clients beside honest ones.

    slow_clients.py BUNDLE_SERVER MODEL [COUNT]

COUNT clients send a byte of a request's head every half second, a sixth of them of its body, a sixth
read nothing of a long stream. 50 honest ones ask /health and short completions meanwhile; their p99
may be half as long again as without the slow ones. All slow ones are cut within their limits, and
the supervisor's memory grows by at most 32 KiB for each.
"""

import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "bench"))
from serving_client import Server, allow_many_descriptors, post, quantile  # noqa: E402

HONEST = 50
SECONDS = 15


def honest_times(server, seconds):
    """How long each of the honest clients' exchanges took."""
    times, lock = [], threading.Lock()
    until = time.monotonic() + seconds

    def worker(number):
        rng = random.Random(number)
        while time.monotonic() < until:
            start = time.monotonic()
            if number % 10:
                server.get("/health")
            else:
                server.complete(model="m", prompt="Hi", max_tokens=4, temperature=0)
            with lock:
                times.append((number % 10 == 0, time.monotonic() - start))
            time.sleep(rng.random() * 0.5)

    threads = [threading.Thread(target=worker, args=(n,)) for n in range(HONEST)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


class SlowClients(threading.Thread):
    """All of them on one thread."""

    def __init__(self, server, count):
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.open = {}
        whole = post("/v1/completions", {"model": "m", "prompt": "x", "max_tokens": 5, "padding": "y" * 4000})
        head, body = whole.split(b"\r\n\r\n")
        reader = post("/v1/completions", {"model": "m", "prompt": "x", "max_tokens": 2, "stream": True})
        for i in range(count):
            connection = server.connect(30)
            connection.setblocking(False)
            if i % 6 == 0:
                connection.send(head + b"\r\n\r\n")
                self.open[connection] = body
            elif i % 6 == 1:
                connection.send(reader if i < 60 else b"")
                self.open[connection] = b""
            else:
                self.open[connection] = head
        self.cut_at = []

    def run(self):
        while not self.stop.is_set() and self.open:
            for connection in list(self.open):
                rest = self.open[connection]
                try:
                    if rest:
                        connection.send(rest[:1])
                        self.open[connection] = rest[1:]
                    elif connection.recv(1) == b"":
                        raise ConnectionError
                except BlockingIOError:
                    pass
                except OSError:
                    connection.close()
                    del self.open[connection]
                    self.cut_at.append(time.monotonic())
            time.sleep(0.5)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    count = int(sys.argv[3]) if len(sys.argv) == 4 else 5000
    allow_many_descriptors(count + 500)
    with Server(sys.argv[1], sys.argv[2], "--set", f"server.max_connections={count + 1000}") as server:
        honest_times(server, 3)
        idle = honest_times(server, SECONDS)
        memory = server.resident()[0]
        slow = SlowClients(server, count)
        begun = time.monotonic()
        slow.start()
        busy = honest_times(server, SECONDS)
        grown = (server.resident()[0] - memory) / count
        slow.join(90 - (time.monotonic() - begun))
        left = len(slow.open)
        slow.stop.set()
    p99 = [[quantile([t for kind, t in times if kind == generated], 0.99) for times in (idle, busy)] for generated in (False, True)]
    for name, (before, after) in zip(("/health", "completion"), p99):
        print(f"slow_clients: {name} p99 {before * 1e3:.1f} ms without, {after * 1e3:.1f} ms beside {count} slow ones, "
              f"ratio {after / before:.2f} (at most 1.5)")
    print(f"slow_clients: {grown / 1024:.1f} KiB a connection (at most 32); {left} still open after 90 s")
    return 0 if all(after <= 1.5 * before + 0.002 for before, after in p99) and grown <= 32 * 1024 and left == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
