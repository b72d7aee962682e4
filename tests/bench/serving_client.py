"""bundle-server as a process, and raw HTTP/1.1 to it: what the serving benchmarks and long tests share.

Standard library only; a client costs little, so that on a small machine it does not take the
server's place on the cores.
"""

import json
import os
import re
import resource
import selectors
import socket
import subprocess
import tempfile
import time


class Server:
    """Starts the program and waits until it is ready. Use it as a context manager."""

    def __init__(self, program, model, *arguments):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        self.process = subprocess.Popen(
            [program, "--model", model, "--name", "m", "--port", "0", *arguments],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.port = self._wait_ready(120)

    def _wait_ready(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            found = re.search(r"ready https?://.*:(\d+)", self.text())
            if found:
                return int(found.group(1))
            time.sleep(0.05)
        raise SystemExit("the server did not start:\n" + self.text())

    def text(self):
        with open(self.log.name) as file:
            return file.read()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait(60)

    def connect(self, timeout=120):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def get(self, path):
        status, body = exchange(self.connect(), f"GET {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n".encode())
        return status, body

    def complete(self, **fields):
        status, body = exchange(self.connect(), post("/v1/completions", fields, "Connection: close\r\n"))
        answer = json.loads(body)
        if status != 200:
            raise RuntimeError(f"{status}: {answer}")
        return answer

    def metric(self, name):
        """The sum of a metric's samples."""
        text = self.get("/metrics")[1].decode()
        values = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.M)
        return sum(map(float, values))

    def children(self):
        found = []
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
        return found

    def processes(self):
        return [self.process.pid, *self.children()]

    def descriptors(self):
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in self.processes()]

    def resident(self):
        """Bytes of private memory of each process."""
        out = []
        for pid in self.processes():
            with open(f"/proc/{pid}/smaps_rollup") as file:
                text = file.read()
            out.append(1024 * sum(int(n) for n in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", text, re.M)))
        return out


def post(path, body, fields=""):
    data = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: m\r\nContent-Type: application/json\r\n{fields}"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


def exchange(connection, request):
    """One request on a connection that closes after it: status and body."""
    with connection:
        connection.sendall(request)
        received = bytearray()
        while True:
            piece = connection.recv(1 << 16)
            if not piece:
                break
            received += piece
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = join_chunks(body)
    return int(head.split()[1]), body


def join_chunks(data):
    out = bytearray()
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        out += data[:length]
        data = data[length + 2:]
    return bytes(out)


def stream_times(server, body):
    """When each event with a token came, and the whole text of the stream."""
    connection = server.connect()
    times, text = [], bytearray()
    with connection:
        connection.sendall(post("/v1/completions", {**body, "stream": True}, "Connection: close\r\n"))
        while True:
            piece = connection.recv(1 << 16)
            if not piece:
                return times, bytes(text)
            times += [time.monotonic()] * piece.count(b'"text":')
            text += piece


def all_stream_times(server, bodies):
    """The same of several streams at once, on one thread that does as little as it can: what clients take of
    the processors is not there for the server."""
    selector, streams = selectors.DefaultSelector(), []
    for body in bodies:
        connection = server.connect()
        connection.sendall(post("/v1/completions", {**body, "stream": True}, "Connection: close\r\n"))
        streams.append([])
        selector.register(connection, selectors.EVENT_READ, streams[-1])
    left = len(bodies)
    while left:
        for key, _ in selector.select():
            piece = key.fileobj.recv(1 << 16)
            key.data.append((time.monotonic(), piece))
            if not piece:
                selector.unregister(key.fileobj)
                key.fileobj.close()
                left -= 1
    return [[when for when, piece in stream for _ in range(piece.count(b'"text":'))] for stream in streams]


def allow_many_descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        raise SystemExit(f"{count} descriptors are needed, the limit is {hard}: ulimit -n {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
