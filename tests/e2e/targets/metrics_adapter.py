"""Kubernetes' external metrics API for one metric: the requests in flight of all pods of a deployment.

    metrics_adapter.py ADDRESS PORT CERTIFICATE KEY

Asks the pods themselves for /metrics, as an adapter asks Prometheus. The API server reaches it through an
APIService. Standard library only; KUBECONFIG names the cluster for kubectl, which finds the pods.
"""

import json
import re
import ssl
import subprocess
import sys
import urllib.request
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

GROUP = "external.metrics.k8s.io/v1beta1"
METRIC = "bundle_requests_in_flight"


def pod_addresses(space, selector):
    out = subprocess.run(["kubectl", "get", "pods", "-n", space, "-l", selector, "-o", "jsonpath={.items[*].status.podIP}"],
                         capture_output=True, text=True, timeout=10)
    return out.stdout.split()


def in_flight(address):
    try:
        with urllib.request.urlopen(f"http://{address}:8000/metrics", timeout=2) as answer:
            text = answer.read().decode()
    except OSError:  # a pod that still loads has none
        return 0
    return sum(float(n) for n in re.findall(r"^vllm:num_requests_(?:running|waiting)(?:\{.*\})? (\S+)$", text, re.M))


def total(space, selector):
    """What the metric is; another script may set another source."""
    pods = selector.replace("deployment=", "app.kubernetes.io/instance=")
    return sum(map(in_flight, pod_addresses(space, pods)))


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *unused):
        pass

    def do_GET(self):
        url = urlparse(self.path)
        found = re.fullmatch(rf"/apis/{GROUP}/namespaces/([^/]+)/([^/]+)", url.path)
        if url.path == f"/apis/{GROUP}":
            self.answer({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP, "resources": [
                {"name": METRIC, "singularName": "", "namespaced": True, "kind": "ExternalMetricValueList", "verbs": ["get"]}]})
        elif found and found[2] == METRIC:
            selector = parse_qs(url.query).get("labelSelector", [""])[0]
            value = total(found[1], selector)
            print(f"{selector}: {value}", flush=True)
            self.answer({"kind": "ExternalMetricValueList", "apiVersion": GROUP, "metadata": {}, "items": [
                {"metricName": METRIC, "metricLabels": {}, "value": str(int(value)),
                 "timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}]})
        else:
            self.answer({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}, 404)

    def answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
