#!/usr/bin/env bash
# build, list, inspect, deploy, chat, status, logs, change, rollback, delete, rm on SmolLM2: each step
# by the real program, each answer checked.
#   smollm2_flow.sh BIN_FOLDER SOURCE_FOLDER
set -euo pipefail
. "$(dirname "$0")/smollm2.sh"

BUNDLE_HOME=$(mktemp -d)
export BUNDLE_HOME
finish() {
  "$bundle" delete e2e --quiet >/dev/null 2>&1 || true
  rm -rf "$BUNDLE_HOME"
}
trap finish EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
field() { sed -n "s/.*\"$1\": *\"\\{0,1\\}\\([^\",]*\\).*/\\1/p" | head -1; }

first=$("$bundle" build "$model" --name smollm2 --quiet | tail -1)
second=$("$bundle" build "$model" --name smollm2 --quiet | tail -1)
[ "$first" = "$second" ] || fail "two builds differ: $first $second"
[[ $first =~ ^sha256:[0-9a-f]{64}$ ]] || fail "the last line is no digest: $first"
"$bundle" list --output json | has "$first" || fail "list lacks the bundle"
"$bundle" inspect smollm2 --output json | has LlamaForCausalLM || fail "inspect lacks the architecture"

"$bundle" deploy smollm2 --name e2e --target local --yes --quiet
url=$("$bundle" status e2e --output json | field url)
pid=$("$bundle" status e2e --output json | field pid)
"$bundle" deploy smollm2 --name e2e --target local --yes | has "nothing to change" || fail "a second deploy changed something"
[ "$("$bundle" status e2e --output json | field pid)" = "$pid" ] || fail "a second deploy restarted the server"

answer=$("$bundle" chat e2e --temperature 0 --max-tokens 32 --message "What is the capital of France?")
[[ $answer == *Paris* ]] || fail "the answer does not name Paris: $answer"
again=$("$bundle" chat e2e --temperature 0 --max-tokens 32 --message "What is the capital of France?")
[ "$answer" = "$again" ] || fail "the same question has two answers"
alone=$("$bundle" chat smollm2 --temperature 0 --max-tokens 32 --message "What is the capital of France?")
[ "$answer" = "$alone" ] || fail "a bundle's own answer differs from its deployment's: $alone"
curl -sf "$url/v1/models" | has '"smollm2"' || fail "/v1/models lacks the model"
curl -sf "$url/metrics" | has 'vllm:prefix_cache_hits_total' || fail "/metrics lacks the prefix cache"
[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/v1/models/nope")" = 404 ] || fail "an unknown model is not 404"
[[ $("$2/examples/maths/ask" "$url" 64) == *"answer: "* ]] || fail "the example of mathematics gives no answer"
"$bundle" logs e2e | has "ready http://" || fail "the log lacks the ready line"

"$bundle" deploy smollm2 --name e2e --target local --set runtime.context_length=512 --yes --quiet
[ "$("$bundle" status e2e --output json | field url)" = "$url" ] || fail "a change moved the port"
[ "$("$bundle" status e2e --output json | field revision)" = 2 ] || fail "a change made no revision"
"$bundle" deploy smollm2 --name e2e --target local --set runtime.context_length=99999 --yes --quiet 2>/dev/null &&
  fail "a context that no server would take was deployed"
[ "$("$bundle" status e2e --output json | field revision)" = 2 ] || fail "a refused change made a revision"
"$bundle" rollback e2e --quiet
[ "$("$bundle" status e2e --output json | field revision)" = 3 ] || fail "rollback made no revision"

"$bundle" rm smollm2 --quiet 2>/dev/null && fail "a bundle that a deployment runs was removed"
"$bundle" logs e2e -f --quiet >"$BUNDLE_HOME/followed" 2>"$BUNDLE_HOME/followed.err" &
follower=$!
"$bundle" delete e2e --quiet
for _ in $(seq 100); do kill -0 $follower 2>/dev/null || break; sleep 0.1; done
kill $follower 2>/dev/null && fail "following the log of a deleted deployment goes on"
wait $follower || fail "following a log to its end is a failure"
has "was deleted" <"$BUNDLE_HOME/followed.err" || fail "nothing says why the log ended"
# A process that has ended may wait for init as a zombie, which has no program any more.
[ -n "$(readlink "/proc/$pid/exe")" ] && fail "the first server still runs"
"$bundle" status e2e --quiet 2>/dev/null && fail "the deployment is still known"
"$bundle" rm smollm2 --quiet
[ -z "$(find "$BUNDLE_HOME/store/blobs" -type f 2>/dev/null)" ] || fail "rm left blobs"
mkdir "$BUNDLE_HOME/long"
printf 'name: long\nmodel: %s\nruntime: {context_length: 99999}\n' "$model" >"$BUNDLE_HOME/long/bundle.yaml"
"$bundle" build "$BUNDLE_HOME/long" --quiet 2>/dev/null && fail "a context that no server would take was packed"
printf 'name: long\nmodel: %s\nruntime: {chat_template: "{%% if %%}"}\n' "$model" >"$BUNDLE_HOME/long/bundle.yaml"
"$bundle" build "$BUNDLE_HOME/long" --quiet 2>/dev/null && fail "a broken chat template was packed"
printf 'broken' >"$BUNDLE_HOME/broken.gguf"
code=0
"$bundle" build "$BUNDLE_HOME/broken.gguf" --quiet 2>/dev/null || code=$?
[ "$code" = 3 ] || fail "a broken file gave exit code $code"
[ -z "$(find "$BUNDLE_HOME/store/blobs" -type f 2>/dev/null)" ] || fail "a failed build left blobs"
echo "smollm2 flow passed"
