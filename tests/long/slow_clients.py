#!/usr/bin/env python3
"""5,000 slow clients beside honest ones.

    slow_clients.py BUNDLE_SERVER MODEL [COUNT]

Of COUNT clients, four in six send a byte of a request's head every half second, one in six of its
body, one in six sends nothing at all, and ten take a long stream of which they read nothing. They live
in a process of their own, at a lower priority, since in truth their processors are elsewhere; that they
sent what they should is checked. 50 honest ones ask /health and short completions meanwhile; their p99
may be half as long again as without the slow ones. All slow ones are cut within their limits: the server
is left with the descriptors that it had. Its memory grows by at most 32 KiB for each.
"""

import multiprocessing
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "bench"))
from serving_client import Server, allow_many_descriptors, post, quantile  # noqa: E402

HONEST = 50
SECONDS = 15
READERS = 10
PERIOD = 0.5  # seconds between two bytes of a client
TURNS = 50
HEAD_LIMIT = 10  # the server's: a head within 10 s, a body 60 s, between requests 75 s, unread output 30 s
LIMIT = 90


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


class SlowClients(multiprocessing.Process):
    """All of them. `sent` counts their bytes."""

    def __init__(self, server, count):
        super().__init__(daemon=True)
        self.server, self.count = server, count
        self.ready, self.sent = multiprocessing.Event(), multiprocessing.Value("q", 0)

    def run(self):
        os.nice(10)
        clients = self.connect()
        self.ready.set()
        turns = [clients[i::TURNS] for i in range(TURNS)]  # evenly over the half second
        due = time.monotonic()
        while any(turns):
            turns.append([client for client in turns.pop(0) if self.take_turn(client)])
            due += PERIOD / TURNS
            time.sleep(max(0, due - time.monotonic()))
        time.sleep(3600)  # those that read nothing stay as long as the test

    def connect(self):
        whole = post("/v1/completions", {"model": "m", "prompt": "x", "max_tokens": 5, "padding": "y" * 4000})
        head, body = whole.split(b"\r\n\r\n")
        self.readers = [self.ask_long_stream() for _ in range(READERS)]
        clients = []
        for i in range(self.count):
            connection = self.server.connect(30)
            if i % 6 == 0:
                connection.sendall(head + b"\r\n\r\n")
            connection.setblocking(False)
            clients.append([connection, {0: body, 1: b""}.get(i % 6, head)])
        return clients

    def ask_long_stream(self):
        connection = socket.socket()
        # Little room on the way, so that the server soon has to wait.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        connection.connect(("127.0.0.1", self.server.port))
        connection.sendall(post("/v1/completions", {"model": "m", "prompt": "x", "max_tokens": 300, "stream": True,
                                                    "ignore_eos": True, "logprobs": 5}))
        return connection

    def take_turn(self, client):
        """Sends the next byte, or looks whether the server has closed; false when it has."""
        connection, rest = client
        try:
            if rest:
                connection.send(rest[:1])
                client[1] = rest[1:]
                self.sent.value += 1
            elif connection.recv(1 << 16) == b"":
                raise ConnectionError
        except BlockingIOError:
            pass
        except OSError:
            connection.close()
            return False
        return True


def expected_bytes(count):
    """What they send in the time of the measurement: heads until they are cut, bodies all along."""
    return count / 6 * (4 * HEAD_LIMIT + SECONDS) / PERIOD


def wait_for_descriptors(server, before, seconds):
    """How many more than before the server still has, at the latest after so long."""
    until = time.monotonic() + seconds
    while (left := sum(server.descriptors()) - before) > 0 and time.monotonic() < until:
        time.sleep(0.5)
    return left


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    count = int(sys.argv[3]) if len(sys.argv) == 4 else 5000
    allow_many_descriptors(count + 500)
    with Server(sys.argv[1], sys.argv[2], "--set", f"server.max_connections={count + 1000}") as server:
        honest_times(server, 3)
        idle = honest_times(server, SECONDS)
        memory, descriptors = server.resident()[0], sum(server.descriptors())
        slow = SlowClients(server, count)
        slow.start()
        slow.ready.wait()
        begun = time.monotonic()
        while server.metric("vllm:num_requests_running") > 0:  # the engine's work for the long streams is no slowness
            time.sleep(0.05)
        busy = honest_times(server, SECONDS)
        sent = slow.sent.value / expected_bytes(count)
        grown = (server.resident()[0] - memory) / count
        left = wait_for_descriptors(server, descriptors, LIMIT - (time.monotonic() - begun))
        slow.terminate()
    p99 = [[quantile([t for kind, t in times if kind == generated], 0.99) for times in (idle, busy)] for generated in (False, True)]
    for name, (before, after) in zip(("/health", "completion"), p99):
        print(f"slow_clients: {name} p99 {before * 1e3:.1f} ms without, {after * 1e3:.1f} ms beside {count} slow ones, "
              f"ratio {after / before:.2f} (at most 1.5)")
    print(f"slow_clients: {grown / 1024:.1f} KiB a connection (at most 32); {left} still open after {LIMIT} s; "
          f"{sent:.2f} of the bytes sent (at least 0.9)")
    right = all(after <= 1.5 * before + 0.002 for before, after in p99)
    return 0 if right and grown <= 32 * 1024 and left == 0 and sent >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
