#!/bin/bash
# Outside tools read the store: skopeo as an OCI image layout, GNU tar and Python its layers.
#   oci_tools.sh BUILD_SAMPLE
set -euo pipefail

for program in skopeo tar python3; do
  command -v "$program" >/dev/null || { echo "$program is missing: run scripts/setup" >&2; exit 1; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
digest=$("$1" "$folder")
cd "$folder"
source=oci:store:sample:v1

fail() { echo "FAILED: $*" >&2; exit 1; }
# Reads all of it: what writes into `grep -q` fails when that has seen enough.
has() { grep "$@" >/dev/null; }
blob() { echo "store/blobs/sha256/${1#sha256:}"; }
get() { python3 -c 'import json,sys; print(eval("json.load(sys.stdin)" + sys.argv[1]))' "$1"; }

echo "skopeo inspects the bundle and its variants"
[ "$(skopeo inspect "$source" | get '["Digest"]')" = "$digest" ] || fail "digest"
[ "$(skopeo inspect "$source" | get '["Architecture"]')" = amd64 ] || fail "architecture"
skopeo inspect --config "$source" | get '["config"]["Entrypoint"]' | has bundle-server ||
  fail "entrypoint"
skopeo inspect --raw "$source-modelpack" | get '["artifactType"]' |
  grep -qx application/vnd.cncf.model.manifest.v1+json || fail "ModelPack manifest"

echo "skopeo copies all of it, digests unchanged"
skopeo copy --quiet --insecure-policy --all --preserve-digests "$source" oci:copy:sample:v1
[ "$(skopeo inspect oci:copy:sample:v1 | get '["Digest"]')" = "$digest" ] || fail "copied digest"
for file in store/blobs/sha256/*; do cmp "$file" "copy/blobs/sha256/${file##*/}"; done

echo "skopeo makes a plain image folder of it"
skopeo copy --quiet --insecure-policy --preserve-digests "$source-cpu" dir:plain
[ "$(get '["layers"].__len__()' <plain/manifest.json)" = 3 ] || fail "layers"

echo "GNU tar and Python read the layers"
weights=$(blob "$(skopeo inspect "$source" | get '["Layers"][0]')")
config=$(blob "$(skopeo inspect "$source" | get '["Layers"][1]')")
mkdir unpacked
tar -C unpacked -xf "$weights"
tar -C unpacked -xf "$config"
cmp unpacked/models/model.safetensors model/model.safetensors
cmp unpacked/models/config.json model/config.json
cmp <(tail -c +4097 "$weights" | head -c "$(stat -c %s model/model.safetensors)") \
  model/model.safetensors
python3 - "$weights" "$config" big.tar <<'PYTHON'
import sys, tarfile

def members(path):
    with tarfile.open(path, "r:") as layer:
        return [(m.name, m.size, m.offset_data, m.mode, m.mtime, m.uid, m.isreg()) for m in layer]

name, _, offset, *rest = members(sys.argv[1])[0]
assert (name, offset, rest) == ("models/model.safetensors", 4096, [0o644, 0, 0, True]), name
names = [m[0] for m in members(sys.argv[2])]
assert names == sorted(names) and "bundle/bundle.json" in names, names
with tarfile.open(sys.argv[3], "r:") as big:
    member = big.next()
    assert (member.size, member.offset_data) == (9000000001, 4096), member
PYTHON
tar -tvf big.tar | has ' 9000000001 .* models/big.gguf' || fail "GNU tar on a large file"
echo "passed"
