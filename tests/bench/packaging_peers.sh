#!/usr/bin/env bash
# What BentoML and Truss take to pack the same model, as their own documentation says to: seconds and
# bytes, one line a figure; docs/comparison.md has them beside packaging.sh's. Installs both from PyPI
# into build/peers. Cog builds with Docker alone and Truss its image too: where there is no Docker,
# Truss's build context is what it can be timed on, and Cog is left out, which is said.
#   packaging_peers.sh MODEL.gguf
set -euo pipefail
cd "$(dirname "$0")/../.."
model=$(realpath "$1")
peers=$PWD/build/peers
folder=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
trap 'rm -rf "$folder"' EXIT

venv() { # NAME PACKAGE: a Python environment with it
  [ -x "$peers/$1/bin/$1" ] || { python3 -m venv "$peers/$1" && "$peers/$1/bin/pip" install -q "$2"; } >&2
}
seconds() {
  local start
  start=$(date +%s.%N)
  "$@" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; return 1; }
  echo "$(date +%s.%N) - $start" | bc
}
bytes() { du -sb "$1" | cut -f1; }

venv bentoml bentoml==1.4.40
venv truss truss==0.18.36
cat "$model" >/dev/null # into the page cache, for all
size=$(stat -c %s "$model")
echo "model bytes: $size"

export BENTOML_HOME=$folder/bentoml BENTOML_DO_NOT_TRACK=True
mkdir -p "$folder/bento"
cp "$model" "$folder/bento/model.gguf"
cat >"$folder/bento/service.py" <<'PYTHON'
import bentoml


@bentoml.service
class Llm:
    @bentoml.api
    def complete(self, prompt: str) -> str:
        return prompt
PYTHON
printf 'service: "service:Llm"\nname: llm\ninclude: ["*"]\n' >"$folder/bento/bentofile.yaml"
bento() { (cd "$folder/bento" && "$peers/bentoml/bin/bentoml" "$@"); }
echo "bentoml build: $(seconds bento build) s"
echo "bentoml, bytes beside the model it was given: $(bytes "$BENTOML_HOME")"
echo "bentoml's Python environment, bytes: $(bytes "$peers/bentoml")"
tag=$(bento list -o json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["tag"])')
echo "bentoml export: $(seconds bento export "$tag" "$folder/llm.bento") s"
echo "bentoml, bytes of the export: $(stat -c %s "$folder/llm.bento")"

mkdir -p "$folder/truss/model" "$folder/truss/data"
cp "$model" "$folder/truss/data/model.gguf"
cat >"$folder/truss/model/model.py" <<'PYTHON'
class Model:
    def predict(self, model_input):
        return model_input
PYTHON
printf 'model_name: llm\npython_version: py311\n' >"$folder/truss/config.yaml"
echo "truss image build-context: $(seconds "$peers/truss/bin/truss" image build-context "$folder/context" "$folder/truss") s"
echo "truss, bytes of the context: $(bytes "$folder/context")"
echo "truss's Python environment, bytes: $(bytes "$peers/truss")"
if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
  echo "docker is here: cog build and truss image build can be timed by hand"
else
  echo "cog build, truss image build: not run, there is no Docker here"
fi
