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
"$bundle" pull "127.0.0.1:$port/by/skopeo:v1" --plain-http --name second -q | grep -q "$digest" ||
  fail "pull of what skopeo pushed"

echo "another host pulls, and asks for the signature"
BUNDLE_HOME=$folder/other "$bundle" pull "$remote:v1" --plain-http -q --require-signature \
  --key cosign.key.pub | grep -q "$digest" || fail "pull with signature"
code=0
BUNDLE_HOME=$folder/third "$bundle" pull "$remote:v1" --plain-http -q --require-signature \
  --key other.key.pub 2>/dev/null || code=$?
[ "$code" = 1 ] || fail "another key: exit code $code"
[ -z "$(ls third/store/blobs/sha256 2>/dev/null)" ] || fail "something was kept"

echo "skopeo reads an exported archive"
"$bundle" export sample:v1 sample.tar -q >/dev/null
skopeo --insecure-policy copy -q --all --preserve-digests oci-archive:sample.tar:sample:v1 dir:copied
"$bundle" export sample:v1 docker.tar --to docker-archive -q >/dev/null
skopeo --insecure-policy copy -q docker-archive:docker.tar dir:from-docker
skopeo --insecure-policy copy -q --all --preserve-digests oci:home/store:sample:v1 \
  oci-archive:theirs.tar:sample:v1
BUNDLE_HOME=$folder/fourth "$bundle" import theirs.tar -q | grep -q "$digest" || fail "their archive"
echo "passed"
