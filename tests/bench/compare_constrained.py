"""Tokens a second under a constraint, beside those without: one server, alternating runs.

    bundle serve smollm2 --port 8000 &
    python3 tests/bench/compare_constrained.py http://127.0.0.1:8000 [CLIENTS [ROUNDS]]

Prints one line a constraint: the median ratio of its decode speed to free decoding's over rounds
that take turns, so that the machine's moods fall on both.
"""
import concurrent.futures
import json
import statistics
import sys
import time
import urllib.request

TOKENS = 128
ROUNDS = 15
MOST_ROUNDS = 100  # those whose outputs are complete too soon do not count
CONSTRAINTS = {
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"schema": {
        "type": "object",
        "properties": {"items": {"type": "array", "minItems": 200, "items": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "count": {"type": "integer"},
                           "kind": {"enum": ["a", "b", "c"]}},
            "required": ["name", "count", "kind"]}}},
        "required": ["items"]}}}},
    "json_object": {"response_format": {"type": "json_object"}},
    "regex": {"structured_outputs": {"regex": "([a-z]+ ){300}"}},
}


def tokens_that_end_objects(url):
    """Of texts that close an object: those that are one token."""
    ids = []
    for text in ("}", " }", "{}", " {}", "\n}", "\"}", "}}", "},", "}\n", "{}\n", "]}"):
        body = {"prompt": text, "add_special_tokens": False}
        request = urllib.request.Request(url + "/tokenize", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            tokens = json.load(response)["tokens"]
        ids += tokens if len(tokens) == 1 else []
    return ids


def decode_speed(url, extra, seed):
    """Tokens a second between the first and the last of one stream."""
    body = {"prompt": "List some things:", "max_tokens": TOKENS, "stream": True, "seed": seed,
            "temperature": 1.0, "ignore_eos": True, "min_tokens": TOKENS, "return_token_ids": True,
            **extra}
    request = urllib.request.Request(url + "/v1/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    first = last = None
    count = 0
    with urllib.request.urlopen(request) as response:
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            last = time.monotonic()
            first = first or last
            count += len(json.loads(line[6:])["choices"][0].get("token_ids") or [])
    # An object may be complete after a few tokens, which says nothing of the speed.
    return (count - 1) / (last - first) if count >= TOKENS // 2 else None


def crowd_speed(url, extra, clients, seed):
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        speeds = list(pool.map(lambda i: decode_speed(url, extra, seed * 100 + i), range(clients)))
    return None if None in speeds else sum(speeds)


def main():
    url = sys.argv[1]
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else ROUNDS
    # Left to itself, an object is often complete after a few tokens.
    CONSTRAINTS["json_object"]["logit_bias"] = {str(id): -100 for id in tokens_that_end_objects(url)}
    for name, extra in CONSTRAINTS.items():
        crowd_speed(url, extra, clients, 0)  # compiles it
        ratios = []
        for seed in range(1, MOST_ROUNDS + 1):
            if len(ratios) == rounds:
                break
            # By turns, since what is second finds the machine as the first left it.
            order = [{}, extra] if seed % 2 else [extra, {}]
            speeds = [crowd_speed(url, one, clients, seed) for one in order]
            free, bound = speeds if seed % 2 else reversed(speeds)
            if free and bound:
                ratios.append(bound / free)
        if not ratios:
            sys.exit(f"{name}: every output was complete too soon")
        quartiles = statistics.quantiles(ratios, n=4)
        print(f"{name}: {statistics.median(ratios):.3f} of free decoding ({clients} clients, "
              f"{len(ratios)} rounds, {quartiles[0]:.3f} to {quartiles[2]:.3f} for half of them)")


if __name__ == "__main__":
    main()
