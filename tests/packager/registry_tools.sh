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
policy "$folder/cosign.key.pub"
copy || fail "the image of this host"
copy --all || fail "all images"
"$bundle" keygen other.key >/dev/null
policy "$folder/other.key.pub"
! copy 2>/dev/null || fail "another key is accepted"

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
