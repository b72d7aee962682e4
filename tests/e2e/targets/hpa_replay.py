#!/usr/bin/env python3
"""Replays a load in front of a real horizontal pod autoscaler, in accelerated time.

    hpa_replay.py replay PROGRAM RUN.json SPEED FOLDER ADDRESS PORT CERTIFICATE KEY
    hpa_replay.py faster SPEED           an HPA on standard input, all its times divided
    hpa_replay.py compare REAL SIMULATED PERCENT

replay: PROGRAM (hpa_replay) models the replicas: so many of them work as the Deployment "replay" has ready pods,
and the requests in flight are what the autoscaler sees as an external metric. There is no node: a pod
counts as ready when it has been there for the start-up time. Writes FOLDER/real (time, replicas, ready,
in flight) and FOLDER/decisions (when the autoscaler read the metric, and what); times are the load's seconds.
compare: the share of the time in which both series have the same replicas, or one more or less; fails
below PERCENT. Standard library only; the API server is 127.0.0.1:16443.
"""

import http.client
import json
import re
import ssl
import subprocess
import sys
import threading
import time
from http.server import ThreadingHTTPServer

import metrics_adapter

TICK = 0.05  # seconds of this clock


class Api:
    """The API server, over one connection."""

    def __init__(self):
        self.connection = http.client.HTTPSConnection("127.0.0.1", 16443, timeout=20,
                                                      context=ssl._create_unverified_context())

    def call(self, method, path, body=None, kind="application/strategic-merge-patch+json"):
        headers = {"Authorization": "Bearer admin-token", "Content-Type": kind}
        self.connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = self.connection.getresponse()
        document = json.loads(answer.read())
        if answer.status >= 300 and answer.status not in (404, 409):
            sys.exit(f"{method} {path}: {answer.status} {document.get('message')}")
        return document

    def pods(self):
        path = "/api/v1/namespaces/default/pods?labelSelector=app%3Dreplay&resourceVersion=0"
        return self.call("GET", path)["items"]

    def mark_ready(self, pod):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.call("PATCH", f"/api/v1/namespaces/default/pods/{pod}/status", {"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": now}]}})

    def deployment(self):
        return self.call("GET", "/apis/apps/v1/namespaces/default/deployments/replay")


class Replay:
    def __init__(self, program, run, speed, folder):
        self.speed = speed
        with open(run, encoding="utf-8") as file:
            document = json.load(file)
        self.startup = document["profile"]["startup_seconds"] / speed
        self.end = document["minutes"] * 60
        self.model = subprocess.Popen([program, "follow", run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.real = open(f"{folder}/real", "w", encoding="utf-8")
        self.decisions = open(f"{folder}/decisions", "w", encoding="utf-8")
        self.lock = threading.Lock()  # of the model and what follows
        self.ready = 0
        self.looked = None  # when the autoscaler did last
        self.start = None  # its first look, by this clock
        self.begun = threading.Event()

    def now(self):
        return (time.monotonic() - self.start) * self.speed

    def look(self):
        """The autoscaler reads the metric, as it is at this moment."""
        with self.lock:
            self.looked = time.monotonic()
            if self.start is None:
                self.start = self.looked
                self.begun.set()
            at = self.now()
            in_flight = self.step(at)
            if at <= self.end:
                print(round(at, 3), in_flight, file=self.decisions, flush=True)
            return in_flight

    def step(self, at):
        print(at, self.ready, file=self.model.stdin, flush=True)
        return float(self.model.stdout.readline())

    def run(self):
        api = Api()
        seen = {}
        marked = set()
        waited_until = time.monotonic() + 120
        while not self.begun.wait(TICK):
            self.mark(api, seen, marked)
            self.ready = api.deployment().get("status", {}).get("readyReplicas", 0)
            if time.monotonic() > waited_until:
                sys.exit("the autoscaler never read the metric")
        while self.now() <= self.end:
            deployment = api.deployment()
            with self.lock:
                self.ready = deployment["status"].get("readyReplicas", 0)
                at = self.now()
                in_flight = self.step(at)
            print(round(at, 3), deployment["spec"]["replicas"], self.ready, in_flight, file=self.real, flush=True)
            self.mark(api, seen, marked)
            time.sleep(TICK)
        self.model.stdin.close()

    def mark(self, api, seen, marked):
        """Pods that have started: those of the beginning at once, the others a start-up after the
        autoscaler looked and ordered them."""
        now = time.monotonic()
        for pod in api.pods():
            name = pod["metadata"]["name"]
            born = seen.setdefault(name, self.looked or now - self.startup)
            if name not in marked and now - born >= self.startup:
                api.mark_ready(name)
                marked.add(name)


def replay(program, run, speed, folder, address, port, certificate, key):
    load = Replay(program, run, float(speed), folder)
    metrics_adapter.total = lambda space, selector: load.look()
    server = ThreadingHTTPServer((address, int(port)), metrics_adapter.Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    load.run()


def faster(speed):
    divided = lambda found: found[1] + str(int(found[2]) // int(speed))
    print(re.sub(r'((?:stabilizationWindow|period)Seconds"?: *)(\d+)', divided, sys.stdin.read()))


def replicas_each_second(path):
    """The count that held at each whole second."""
    with open(path, encoding="utf-8") as file:
        samples = [(float(line.split()[0]), int(line.split()[1])) for line in file]
    counts, at = [], 0
    for second in range(int(samples[-1][0])):
        while at + 1 < len(samples) and samples[at + 1][0] <= second:
            at += 1
        counts.append(samples[at][1])
    return counts


def compare(real, simulated, percent):
    pairs = list(zip(replicas_each_second(real), replicas_each_second(simulated)))
    near = 100 * sum(abs(a - b) <= 1 for a, b in pairs) / len(pairs)
    same = 100 * sum(a == b for a, b in pairs) / len(pairs)
    means = [sum(series) / len(pairs) for series in zip(*pairs)]
    print(f"  within one replica {near:.1f} % of {len(pairs)} s, the same {same:.1f} %; "
          f"on average {means[0]:.2f} real, {means[1]:.2f} simulated; at most {max(a for a, _ in pairs)} and "
          f"{max(b for _, b in pairs)}")
    sys.exit(0 if near >= float(percent) else 1)


def main():
    commands = {"replay": (replay, 8), "faster": (faster, 1), "compare": (compare, 3)}
    command, count = commands.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if command is None or len(sys.argv) != 2 + count:
        sys.exit(__doc__)
    command(*sys.argv[2:])


if __name__ == "__main__":
    main()
