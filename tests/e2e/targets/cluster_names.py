#!/usr/bin/env python3
"""The names of the test cluster's pods: answers A queries for POD.SERVICE.NAMESPACE[.svc.cluster.local], as a cluster's
own DNS does for pods of a headless Service. Usage: cluster_names.py ADDRESS API_SERVER"""
import json
import socket
import ssl
import struct
import sys
import time
import urllib.request

A, NOERROR, NXDOMAIN = 1, 0, 3


class Pods:
    """Addresses of pods by their full name, read again after a second."""

    def __init__(self, server):
        self.server = server
        self.read_at = 0.0
        self.names = {}

    def address(self, name):
        if time.monotonic() - self.read_at > 1:
            self.names = self.read()
            self.read_at = time.monotonic()
        return self.names.get(name)

    def read(self):
        request = urllib.request.Request(
            self.server + "/api/v1/pods", headers={"Authorization": "Bearer admin-token"})
        with urllib.request.urlopen(request, context=ssl._create_unverified_context()) as answer:
            pods = json.load(answer)["items"]
        names = {}
        for pod in pods:
            spec, address = pod["spec"], pod["status"].get("podIP")
            if address and spec.get("hostname") and spec.get("subdomain"):
                space = pod["metadata"]["namespace"]
                names[f'{spec["hostname"]}.{spec["subdomain"]}.{space}.svc.cluster.local'] = address
        return names


def question(query):
    """The asked name, its type, and the question's bytes."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii", "replace").lower())
        at += 1 + query[at]
    kind, = struct.unpack_from("!H", query, at + 1)
    return ".".join(labels), kind, query[12:at + 5]


def reply(query, pods):
    name, kind, asked = question(query)
    address = pods.address(name)
    answers = [address] if address and kind == A else []
    flags = 0x8580 | (NOERROR if address else NXDOMAIN)
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0)
    body = b"".join(
        struct.pack("!HHHIH", 0xC00C, A, 1, 1, 4) + socket.inet_aton(one) for one in answers)
    return head + asked + body


def main():
    pods = Pods(sys.argv[2])
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((sys.argv[1], 53))
    while True:
        query, client = listener.recvfrom(512)
        try:
            listener.sendto(reply(query, pods), client)
        except (IndexError, struct.error, OSError) as problem:
            print(f"no answer: {problem}", file=sys.stderr)


main()
