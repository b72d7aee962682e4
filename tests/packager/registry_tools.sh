#!/bin/bash
# A real registry (docker-registry) and skopeo: what we push, they read, and their policy verifies
# our signature.
#   registry_tools.sh BUNDLE BUILD_SAMPLE
set -euo pipefail

for program in skopeo docker-registry python3 curl; do
  command -v "$program" >/dev/null || { echo "$program is missing: run scripts/setup --dev" >&2; exit 1; }
done
bundle=$1
folder=$(mktemp -d)
registry=
trap '[ -z "$registry" ] || kill "$registry"; rm -rf "$folder"' EXIT
cd "$folder"
export BUNDLE_HOME=$folder/home HOME=$folder
fail() { echo "FAILED: $*" >&2; exit 1; }
# Reads all of it: what writes into `grep -q` fails when that has seen enough.
has() { grep "$@" >/dev/null; }

digest=$("$2" "$folder/sample")
mkdir home && mv sample/store home/store

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >config.yml <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $folder/data}}
http: {addr: '127.0.0.1:$port'}
YAML
docker-registry serve config.yml >registry.log 2>&1 &
registry=$!
for _ in $(seq 100); do curl -sf "http://127.0.0.1:$port/v2/" >/dev/null && break; sleep 0.1; done
remote=127.0.0.1:$port/team/sample

echo "push, and skopeo sees the same digest"
"$bundle" keygen cosign.key >/dev/null
"$bundle" sign sample:v1 --key cosign.key --identity "$remote" >/dev/null
"$bundle" push sample:v1 "$remote:v1" --plain-http -q >/dev/null
[ "$(skopeo inspect --tls-verify=false "docker://$remote:v1" |
  python3 -c 'import json,sys; print(json.load(sys.stdin)["Digest"])')" = "$digest" ] || fail digest

echo "skopeo's policy verifies the signature"
mkdir registries.d
cat >registries.d/sigstore.yaml <<YAML
docker:
  127.0.0.1:$port: {use-sigstore-attachments: true}
YAML
policy() {
  cat >policy.json <<JSON
{"default": [{"type": "reject"}], "transports": {"docker": {"127.0.0.1:$port": [
  {"type": "sigstoreSigned", "keyPath": "$1", "signedIdentity": {"type": "matchRepository"}}]}}}
JSON
}
copy() {
  rm -rf copy
  skopeo --policy policy.json --registries.d registries.d copy -q --src-tls-verify=false "$@" \
    --preserve-digests "docker://$remote:v1" dir:copy
}
"$bundle" keygen other.key >/dev/null
policy "$folder/cosign.key.pub"
if ! copy 2>skopeo.log && grep -q "sigstore disabled" skopeo.log; then
  # Debian 12 builds skopeo without this check: openssl verifies the same bytes.
  python3 - "$port" "$digest" <<'PYTHON'
import base64, json, subprocess, sys, urllib.request
base, digest = f"http://127.0.0.1:{sys.argv[1]}/v2/team/sample", sys.argv[2]
def get(path, accept="*/*"):
    return urllib.request.urlopen(urllib.request.Request(base + path, headers={"Accept": accept})).read()
index = json.loads(get("/manifests/v1", "application/vnd.oci.image.index.v1+json"))
for subject in [digest] + [m["digest"] for m in index["manifests"]]:
    tag = subject.replace(":", "-") + ".sig"
    layer = json.loads(get(f"/manifests/{tag}", "application/vnd.oci.image.manifest.v1+json"))["layers"][0]
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    payload = get("/blobs/" + layer["digest"])
    claim = json.loads(payload)["critical"]
    assert claim["image"]["docker-manifest-digest"] == subject, claim
    assert claim["identity"]["docker-reference"] == base.split("//")[1].replace("/v2", ""), claim
    open("payload", "wb").write(payload)
    open("signature", "wb").write(base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"]))
    for key, good in (("cosign.key.pub", True), ("other.key.pub", False)):
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", key, "-signature", "signature",
                               "payload"], capture_output=True)
        assert (done.returncode == 0) == good, (subject, key, done.stderr)
PYTHON
else
  copy || { cat skopeo.log; fail "the image of this host"; }
  copy --all || fail "all images"
  policy "$folder/other.key.pub"
  ! copy 2>/dev/null || fail "another key is accepted"
fi

echo "skopeo pushes the store, we pull it"
skopeo --insecure-policy copy -q --all --preserve-digests --dest-tls-verify=false \
  oci:home/store:sample:v1 "docker://127.0.0.1:$port/by/skopeo:v1"
"$bundle" pull "127.0.0.1:$port/by/skopeo:v1" --plain-http --name second -q | has "$digest" ||
  fail "pull of what skopeo pushed"

echo "another host pulls, and asks for the signature"
BUNDLE_HOME=$folder/other "$bundle" pull "$remote:v1" --plain-http -q --require-signature \
  --key cosign.key.pub | has "$digest" || fail "pull with signature"
code=0
BUNDLE_HOME=$folder/third "$bundle" pull "$remote:v1" --plain-http -q --require-signature \
  --key other.key.pub 2>/dev/null || code=$?
[ "$code" = 1 ] || fail "another key: exit code $code"
[ -z "$(ls third/store/blobs/sha256 2>/dev/null)" ] || fail "something was kept"

echo "a second signer's push keeps the first one's signature"
digest_tag=$(echo "$digest" | tr : -).sig
layers_of() { curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$1/v2/$2/manifests/$3" |
  python3 -c 'import json,sys; print(len(json.load(sys.stdin)["layers"]))'; }
[ "$(layers_of "127.0.0.1:$port" team/sample "$digest_tag")" = 1 ] || fail "one signature"
skopeo --insecure-policy copy -q --all --preserve-digests oci:home/store:sample:v1 \
  oci-archive:plain.tar:sample:v1 # without referrers: the second signer never saw the first
BUNDLE_HOME=$folder/second-signer "$bundle" import plain.tar -q >/dev/null
BUNDLE_HOME=$folder/second-signer "$bundle" sign sample:v1 --key other.key --identity "$remote" >/dev/null
BUNDLE_HOME=$folder/second-signer "$bundle" push sample:v1 "$remote:v1" --plain-http -q >/dev/null
[ "$(layers_of "127.0.0.1:$port" team/sample "$digest_tag")" = 2 ] || fail "both signatures"
for key in cosign other; do
  BUNDLE_HOME=$folder/both-$key "$bundle" pull "$remote:v1" --plain-http -q --require-signature \
    --key $key.key.pub | has "$digest" || fail "pull with $key's signature"
done

echo "mirror: from this registry to another, which has TLS of an authority of its own"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=registry.test \
  -addext 'subjectAltName=DNS:registry.test,DNS:localhost' -keyout tls.key -out tls.pem 2>/dev/null
tls_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed "s#$folder/data#$folder/tls-data#; s#127.0.0.1:$port'#127.0.0.1:$tls_port', tls: {certificate: $folder/tls.pem, key: $folder/tls.key}#" \
  config.yml >tls.yml
docker-registry serve tls.yml >tls-registry.log 2>&1 &
tls_registry=$!
trap 'kill "$registry" "$tls_registry" ${proxy:-} 2>/dev/null; rm -rf "$folder"' EXIT
secure=localhost:$tls_port/mirrored/sample
for _ in $(seq 100); do curl -sf --cacert tls.pem "https://localhost:$tls_port/v2/" >/dev/null && break; sleep 0.1; done
"$bundle" push sample:v1 "$secure:v1" -q --ca-file tls.pem >/dev/null || fail "push over TLS"
BUNDLE_HOME=$folder/mirror "$bundle" mirror "$remote:v1" "127.0.0.1:$port/mirrored/sample:v1" --plain-http -q |
  grep -q "$digest" || fail "mirror"
[ "$(skopeo inspect --tls-verify=false "docker://127.0.0.1:$port/mirrored/sample:v1" |
  python3 -c 'import json,sys; print(json.load(sys.stdin)["Digest"])')" = "$digest" ] || fail "mirror's digest"
[ "$(layers_of "127.0.0.1:$port" mirrored/sample "$digest_tag")" = 2 ] || fail "signatures come along"
[ "$(BUNDLE_HOME=$folder/mirror "$bundle" list --output json |
  python3 -c 'import json,sys; print(len(json.load(sys.stdin)["bundles"]))')" = 0 ] || fail "mirror keeps nothing"

echo "an authority of one's own is trusted when it is named, and only then"
code=0
BUNDLE_HOME=$folder/ca1 "$bundle" pull "$secure:v1" -q 2>/dev/null || code=$?
[ "$code" = 5 ] || fail "an unknown authority: exit code $code"
BUNDLE_HOME=$folder/ca2 "$bundle" pull "$secure:v1" -q --ca-file tls.pem | has "$digest" || fail "--ca-file"
BUNDLE_HOME=$folder/ca3 SSL_CERT_FILE=tls.pem "$bundle" pull "$secure:v1" -q | has "$digest" ||
  fail SSL_CERT_FILE

echo "a proxy carries the bytes, and is asked for nothing that no_proxy excepts"
cat >proxy.py <<'PYTHON'
# CONNECT alone; whatever host is asked for is this machine. Prints its port, then each target.
import select, socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
def serve(client):
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096) or sys.exit()
    method, target = head.split(b" ")[:2]
    print(method.decode(), target.decode(), flush=True)
    server = socket.create_connection(("127.0.0.1", int(target.rsplit(b":", 1)[1])))
    client.sendall(b"HTTP/1.1 200 Open\r\n\r\n")
    ends = {client: server, server: client}
    while True:
        for one in select.select(list(ends), [], [])[0]:
            piece = one.recv(65536)
            if not piece:
                return client.close() or server.close()
            ends[one].sendall(piece)
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
PYTHON
python3 proxy.py >proxy.log &
proxy=$!
for _ in $(seq 100); do [ -s proxy.log ] && break; sleep 0.1; done
far=registry.test:$tls_port/mirrored/sample
BUNDLE_HOME=$folder/proxied https_proxy=http://127.0.0.1:$(head -1 proxy.log) \
  "$bundle" pull "$far:v1" -q --ca-file tls.pem | has "$digest" || fail "pull through a proxy"
grep -q "CONNECT registry.test:$tls_port" proxy.log || fail "the proxy was not asked"
asked=$(wc -l <proxy.log)
code=0
BUNDLE_HOME=$folder/direct https_proxy=http://127.0.0.1:$(head -1 proxy.log) no_proxy=registry.test \
  "$bundle" pull "$far:v1" -q --ca-file tls.pem 2>/dev/null || code=$?
[ "$code" = 5 ] || fail "no_proxy: exit code $code"
[ "$(wc -l <proxy.log)" = "$asked" ] || fail "the proxy was asked for an excepted host"

echo "skopeo reads an exported archive"
"$bundle" export sample:v1 sample.tar -q >/dev/null
read_archive() { skopeo --insecure-policy copy -q --all --preserve-digests "oci-archive:$1:sample:v1" dir:copied; }
# An ordinary user's skopeo unpacks root's files in a user namespace; where none can be made, tar unpacks.
if [ "$(id -u)" = 0 ] || unshare --user true 2>/dev/null; then
  read_archive sample.tar
else
  mkdir unpacked && tar -xf sample.tar --no-same-owner -C unpacked
  skopeo --insecure-policy copy -q --all --preserve-digests oci:unpacked:sample:v1 dir:copied
fi
"$bundle" export sample:v1 docker.tar --to docker-archive -q >/dev/null
skopeo --insecure-policy copy -q docker-archive:docker.tar dir:from-docker
skopeo --insecure-policy copy -q --all --preserve-digests oci:home/store:sample:v1 \
  oci-archive:theirs.tar:sample:v1
BUNDLE_HOME=$folder/fourth "$bundle" import theirs.tar -q | has "$digest" || fail "their archive"
echo "passed"
