#!/bin/bash
# OpenSSF's model_signing (PyPI) verifies our signatures and we verify its, on each curve, over trees
# with odd names.
#   model_signing.sh BUNDLE BUILD_SAMPLE
# BUNDLE_PACKAGING_PYTHON is an interpreter that has it (scripts/packaging-venv).
set -euo pipefail

python=${BUNDLE_PACKAGING_PYTHON:-$(dirname "$0")/../../build/packaging-venv/bin/python}
[ -x "$python" ] || { echo "model_signing is missing: run scripts/packaging-venv" >&2; exit 1; }
bundle=$1 build_sample=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export BUNDLE_HOME=$folder/home HOME=$folder

fail() { echo "FAILED: $*" >&2; exit 1; }
theirs() { "$python" -m model_signing "$@" >theirs.log 2>&1; }

"$python" - <<'PYTHON'
import os, random
random.seed(7)
odd = ["a b", "é", "u\u0308", "Z", "a.txt", "日本", "-dash", "dot.", ".hidden", "x" * 100, "#", "%41", "a'b", 'q"q']
for tree in range(4):
    for n in range(8):
        parts = [random.choice(odd) + str(n) for _ in range(random.randint(1, 3))]
        path = os.path.join(f"tree{tree}", *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(random.randbytes(random.choice([0, 1, 1000, 100000])))
PYTHON

for curve in p256 p384 p521; do
  "$bundle" keygen $curve.key --curve $curve -q >/dev/null
  for tree in tree*; do
    "$bundle" sign ./$tree --key $curve.key --signature ours.sig >/dev/null
    theirs verify key $tree --signature ours.sig --public_key $curve.key.pub ||
      { cat theirs.log; fail "theirs refuses ours ($curve, $tree)"; }
    theirs sign key $tree --signature theirs.sig --private_key $curve.key ||
      { cat theirs.log; fail "theirs does not sign"; }
    "$bundle" verify ./$tree --key $curve.key.pub --signature theirs.sig >/dev/null ||
      fail "ours refuses theirs ($curve, $tree)"
  done
  echo "$curve: both ways"
done

echo "a signature inside the folder, made by each"
"$bundle" sign ./tree0 --key p256.key >/dev/null
theirs verify key tree0 --signature tree0/model.sig --public_key p256.key.pub || fail "inside, ours"
rm tree0/model.sig
theirs sign key tree0 --signature tree0/model.sig --private_key p256.key
"$bundle" verify ./tree0 --key p256.key.pub >/dev/null || fail "inside, theirs"

echo "changes are seen by both"
echo more >>"tree0/$(ls tree0 | grep -v model.sig | head -1)/extra" 2>/dev/null || echo more >tree0/extra
! theirs verify key tree0 --signature tree0/model.sig --public_key p256.key.pub || fail "their check"
! "$bundle" verify ./tree0 --key p256.key.pub >/dev/null 2>&1 || fail "our check"

echo "a bundle that was exported verifies with the reference tool"
"$build_sample" "$folder/sample" >/dev/null
mkdir -p home && mv sample/store home/store
"$bundle" sign sample:v1 --key p384.key >/dev/null
"$bundle" verify sample:v1 --key p384.key.pub >/dev/null
"$bundle" export sample:v1 out --to directory >/dev/null
theirs verify key out --signature out/model.sig --public_key p384.key.pub ||
  { cat theirs.log; fail "exported model"; }

echo "what the reference tool lets pass and we refuse"
"$python" - "$folder" <<'PYTHON'
import base64, copy, hashlib, json, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
folder = sys.argv[1]
key = serialization.load_pem_private_key(open(f"{folder}/p256.key", "rb").read(), None)
import os
os.makedirs(f"{folder}/m/tokenizer", exist_ok=True)
files = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer/x": b"t"}
for name, data in files.items():
    open(f"{folder}/m/{name}", "wb").write(data)
digest = lambda data: hashlib.sha256(data).hexdigest()
good = [{"name": n, "algorithm": "sha256", "digest": digest(d)} for n, d in sorted(files.items())]

def statement(resources, ignore=(), predicate="https://model_signing/signature/v1.0"):
    root = hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()
    return json.dumps({"_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "m", "digest": {"sha256": root}}], "predicateType": predicate,
        "predicate": {"serialization": {"method": "files", "hash_type": "sha256",
            "allow_symlinks": False, "ignore_paths": list(ignore)}, "resources": resources}})

def write(name, payload, signatures=None, pae=None):
    kind = "application/vnd.in-toto+json"
    body = payload.encode()
    message = pae or b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)
    one = {"sig": base64.b64encode(key.sign(message, ec.ECDSA(hashes.SHA256()))).decode(), "keyid": ""}
    hint = hashlib.sha256(open(f"{folder}/p256.key.pub", "rb").read()).hexdigest()
    json.dump({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {"payload": base64.b64encode(body).decode(), "payloadType": kind,
            "signatures": [one] + (signatures or [])}}, open(f"{folder}/{name}.sig", "w"))

write("good", statement(good))
write("1-second-signature", statement(good), [{"sig": "AAAA", "keyid": ""}])
twice = copy.deepcopy(good); twice.insert(0, {**good[0], "digest": digest(b"evil")})
write("2-name-twice", statement(twice))
dotted = copy.deepcopy(good); dotted[0]["name"] = "./config.json"
write("3-dotted", statement(dotted))
slashes = copy.deepcopy(good); slashes[2]["name"] = "tokenizer//x"
write("4-slashes", statement(slashes))
write("5-ignored-weights", statement([good[0], good[2]], ["model.safetensors", "model.sig"]))
write("6-nothing", statement([], ["config.json", "model.safetensors", "tokenizer"]))
kind = "application/vnd.in-toto+json"
body = statement(good).encode()
write("7-old-encoding", statement(good), pae=b"DSSEV1 %d %s %d %s" % (len(kind), kind.encode(), len(body), str(body).encode()))
write("8-duplicate-key", statement(good).replace('{"_type"', '{"predicateType": "x", "_type"', 1))
PYTHON
"$bundle" verify ./m --key p256.key.pub --signature good.sig >/dev/null || fail "the good one"
for signature in [1-8]-*.sig; do
  ! "$bundle" verify ./m --key p256.key.pub --signature "$signature" >/dev/null 2>&1 ||
    fail "$signature is accepted"
  theirs verify key m --signature "$signature" --public_key p256.key.pub &&
    echo "  $signature: theirs accepts" || echo "  $signature: theirs refuses too"
done
echo "passed"
