#!/usr/bin/env bash
# A bundle built where the backend for GPUs lies beside the server: its packed runtime finds a GPU by
# itself, and computes there. The emulator stands for the GPU.
#   cuda_pack_flow.sh BIN_FOLDER MAKE_GOLDEN_CHECKPOINT EMULATED_BACKEND DRIVER_FOLDER
set -euo pipefail
bundle=$1/bundle
BUNDLE_HOME=$(mktemp -d)
export BUNDLE_HOME
finish() {
  "$bundle" delete gpu --quiet >/dev/null 2>&1 || true
  rm -rf "$BUNDLE_HOME"
}
trap finish EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
has() { grep "$@" >/dev/null; }
field() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."): value = value[int(key) if key.isdigit() else key]
print(value)' "$1"; }

mkdir "$BUNDLE_HOME/product"
cp "$1/bundle-server" "$BUNDLE_HOME/product/"
cp "$3" "$BUNDLE_HOME/product/libbundle_cuda.so"
"$2" llama_tied "$BUNDLE_HOME/model"

"$bundle" build "$BUNDLE_HOME/model" --name gpu --server "$BUNDLE_HOME/product/bundle-server" --quiet >/dev/null
"$bundle" inspect gpu --output json | has '"runtime/lib/libbundle_cuda.so"' || fail "the bundle lacks the backend"
"$bundle" build "$BUNDLE_HOME/model" --name cpu --no-cuda --server "$BUNDLE_HOME/product/bundle-server" --quiet >/dev/null
! "$bundle" inspect cpu --output json | has 'libbundle_cuda.so' || fail "--no-cuda packed the backend"

export BUNDLE_CUDA_DRIVER_DIR=$4
"$bundle" deploy gpu --name gpu --port 0 --set runtime.backend=cuda --set runtime.parallel.tensor=2 --quiet \
  --env BUNDLE_EMULATED_GPUS=2 --env BUNDLE_CUDA_DRIVER_DIR="$4" >/dev/null
url=$("$bundle" status gpu --output json | field url)
curl -sf --max-time 60 "$url/v1/completions" -H 'Content-Type: application/json' \
  -d '{"model": "gpu", "prompt": [1, 2, 3], "max_tokens": 4, "temperature": 0, "ignore_eos": true}' |
  has '"completion_tokens":4' || fail "no answer: $("$bundle" logs gpu | tail -5)"
! "$bundle" deploy cpu --name cpu --port 0 --set runtime.backend=cuda --quiet 2>"$BUNDLE_HOME/said" ||
  fail "a bundle without the backend used a GPU"
has "built without the CUDA backend" <"$BUNDLE_HOME/said" || fail "it said: $(cat "$BUNDLE_HOME/said")"
echo "cuda pack flow passed"
