#!/usr/bin/env python3
"""A server that sleeps: it ends when nobody asks, and who connects meanwhile is answered all the same.

    idle_exit_test.py BUNDLE_SERVER MAKE_GOLDEN_CHECKPOINT

Holds the socket as systemd does: starts the server when a connection comes, again after each end. A client
asks at every distance around the moment at which the server ends; each request must be answered.
"""

import http.client
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

IDLE = 1  # seconds
DISTANCES = [0.2, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.6, 1.8, 2.0, 2.05, 2.1, 2.2, 2.5]


class SocketHolder(threading.Thread):
    """Starts the program at a connection, as a socket unit does."""

    def __init__(self, program, model, log):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.command = [program, "--model", model, "--name", "m", "--idle-exit-seconds", str(IDLE)]
        self.log, self.codes, self.process, self.stopping = log, [], None, False

    def run(self):
        while not self.stopping:
            if not select.select([self.listener], [], [], 0.05)[0]:
                continue
            self.process = subprocess.Popen(
                ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http exec "$@" 3<&"$FD"', "sh", *self.command],
                env={**os.environ, "FD": str(self.listener.fileno())}, pass_fds=[self.listener.fileno()],
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
            self.codes.append(self.process.wait())

    def stop(self):
        self.stopping = True
        if self.process and self.process.poll() is None:
            self.process.terminate()
        self.join(30)


def ask(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(600):
        connection.request("POST", "/v1/completions", json.dumps({"model": "m", "prompt": [1, 2, 3], "max_tokens": 2}),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 503 or b'"model_loading"' not in body:
            connection.close()
            return answer.status, body
        time.sleep(0.05)  # it has just been started, and says so
    return 0, b"never loaded"


def main():
    program, maker = map(os.path.abspath, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "log"), "w+") as log:
        subprocess.run([maker, "llama_tied", os.path.join(folder, "model")], check=True, stdout=subprocess.DEVNULL)
        alone = subprocess.run([program, "--model", os.path.join(folder, "model"), "--idle-exit-seconds", "5"],
                               capture_output=True, text=True, timeout=60)
        assert alone.returncode == 2 and "socket" in alone.stderr, alone
        holder = SocketHolder(program, os.path.join(folder, "model"), log)
        holder.start()
        answers = []
        for distance in DISTANCES:
            answers.append(ask(holder.port))
            time.sleep(distance)
        holder.stop()
        log.seek(0)
        text = log.read()
    wrong = [answer for answer in answers if answer[0] != 200]
    assert not wrong, (wrong, text[-2000:])
    assert set(holder.codes) == {0}, (holder.codes, text[-2000:])
    assert 3 <= len(holder.codes) <= len(DISTANCES), holder.codes
    print(f"{len(answers)} answered, {len(holder.codes)} starts")


if __name__ == "__main__":
    main()
