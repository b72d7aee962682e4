#!/usr/bin/env bash
# One model on several ranks, from the command line: built, its form of parallelism written into
# bundle.yaml and changed by --set, served over HTTP with the answers of one rank.
#   parallel_flow.sh BIN_FOLDER MAKE_GOLDEN_CHECKPOINT
set -euo pipefail
bundle=$1/bundle
make_checkpoint=$2

folder=$(mktemp -d)
export BUNDLE_HOME=$folder/home
server=
finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT
fail() { echo "FAILED: $*" >&2; [ ! -f "$folder/log" ] || tail -20 "$folder/log" >&2; exit 1; }

# serve SETTING…: prints the tokens that a served prompt goes on with, and how many ranks there were.
answer() {
  local arguments=() url= setting
  for setting in "$@"; do arguments+=(--set "$setting"); done
  : >"$folder/log"
  "$bundle" serve moe --port 0 "${arguments[@]}" 2>"$folder/log" &
  server=$!
  for _ in $(seq 300); do
    url=$(sed -n 's/^.*ready \(http:[^ ]*\).*$/\1/p' "$folder/log" | head -1)
    [ -z "$url" ] || break
    kill -0 "$server" 2>/dev/null || fail "the server ended"
    sleep 0.1
  done
  [ -n "$url" ] || fail "the server is not ready"
  text=$(curl -sf "$url/v1/completions" -H 'Content-Type: application/json' -d \
    '{"model":"moe","prompt":[5,6,7,8],"temperature":0,"max_tokens":8,"ignore_eos":true,"return_token_ids":true}')
  ids=$(sed -n 's/.*"token_ids": *\(\[[0-9, ]*\]\).*/\1/p' <<<"$text")
  [ -n "$ids" ] || fail "no tokens in: $text"
  ranks=$(ps -o comm= --ppid "$server" | grep -c 'bundle-engine\|bundle-rank' || true)
  kill "$server" && wait "$server" 2>/dev/null || true
  server=
}

"$make_checkpoint" mixtral "$folder/model"
cat >"$folder/model/bundle.yaml" <<YAML
name: moe
runtime:
  backend: cpu-reference
  kv_type: f32
  parallel:
    tensor: 2
    expert: 2
YAML
"$bundle" build "$folder/model" --quiet >/dev/null

answer runtime.parallel.tensor=1 runtime.parallel.expert=1
alone=$ids
[ "$ranks" = 1 ] || fail "one rank was asked for, there are $ranks"
answer
[ "$ranks" = 2 ] || fail "bundle.yaml asks for 2 ranks, there are $ranks"
[ "$ids" = "$alone" ] || fail "two ranks say $ids, one says $alone"
answer runtime.parallel.tensor=4 runtime.parallel.data=2
[ "$ranks" = 4 ] || fail "--set asks for 4 ranks, there are $ranks"
[ "$ids" = "$alone" ] || fail "four ranks say $ids, one says $alone"

if "$bundle" serve moe --port 0 --set runtime.parallel.tensor=3 2>"$folder/log"; then
  fail "three ranks were served"
fi
grep -q "do not divide" "$folder/log" || fail "three ranks were refused without a reason"
echo "parallel flow passed"
