#!/usr/bin/env bash
# Canaries and verification on SmolLM2, with real servers behind a real gateway: a second revision
# gets its part of the requests, is promoted under open streams, is ended; a roll is verified, and
# one that cuts streams is found out.
#   canary_flow.sh BIN_FOLDER SOURCE_FOLDER
set -euo pipefail
. "$(dirname "$0")/smollm2.sh"

BUNDLE_HOME=$(mktemp -d)
export BUNDLE_HOME
gateway=
finish() {
  [ -z "$gateway" ] || kill "$gateway" 2>/dev/null || true
  "$bundle" delete prod --quiet >/dev/null 2>&1 || true
  [ -z "$gateway" ] || wait "$gateway" 2>/dev/null || true
  rm -rf "$BUNDLE_HOME"
}
trap finish EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
# Values of a JSON document on standard input: field PATH, as in canary.weight.
field() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."): value = value[int(key) if key.isdigit() else key]
print(json.dumps(value) if not isinstance(value, str) else value)' "$1"; }
status() { "$bundle" status prod --output json | field "$1"; }
# answers REVISION: how many answers the gateway passed on from its replicas.
answers() { curl -sf "$front/gateway/status" | python3 -c 'import json, sys
print(sum(r["answers"] for r in json.load(sys.stdin)["replicas"] if r["revision"] == sys.argv[1]))' "$1"; }
code_of() { local code=0; "$@" >"$BUNDLE_HOME/said" 2>&1 || code=$?; echo $code; }
# Waits until the gateway has seen a ready replica of that revision with that weight.
seen() {
  for _ in $(seq 100); do
    curl -sf "$front/gateway/status" | has "\"revision\":\"$1\",\"weight\":$2,\"ready\":true" && return
    sleep 0.1
  done
  fail "the gateway has not seen $1 at $2: $(curl -s "$front/gateway/status")"
}
ask() { # TOKENS [true]: one request through the gateway, streamed or not
  curl -sN --max-time 60 "$front/v1/chat/completions" -H 'Content-Type: application/json' -d \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"Tell me about Rome. $RANDOM\"}],\"max_tokens\":$1,\"ignore_eos\":true,\"temperature\":0,\"stream\":${2:-false}}"
}

"$bundle" build "$model" --name smollm2:1 --quiet >/dev/null
mkdir "$BUNDLE_HOME/second"
printf 'name: smollm2\nmodel: %s\nruntime: {context_length: 1024}\n' "$model" >"$BUNDLE_HOME/second/bundle.yaml"
"$bundle" build "$BUNDLE_HOME/second" --name smollm2:2 --quiet >/dev/null

"$bundle" deploy smollm2:1 --name prod --target local --quiet >/dev/null
url=$(status url)
stable=$(status pid)
"$bundle" gateway --deployment prod --port 0 2>"$BUNDLE_HOME/gateway.log" &
gateway=$!
for _ in $(seq 100); do
  front=$(sed -n 's/^ready \(http:.*\)$/\1/p' "$BUNDLE_HOME/gateway.log")
  [ -z "$front" ] || break
  sleep 0.1
done
seen stable 100

# The plan changes nothing; the canary runs beside the deployment and gets exactly its part.
"$bundle" update prod smollm2:2 --canary 25% --plan | has 'bundle: smollm2:1 -> smollm2:2' || fail "the plan does not say what differs"
[ "$(status canary)" = null ] || fail "a plan started a canary"
"$bundle" update prod smollm2:2 --canary 25% --quiet >/dev/null
[ "$(status weight) $(status canary.weight) $(status canary.ready)" = "75 25 true" ] || fail "weights: $(status canary)"
[ "$(status pid)" = "$stable" ] || fail "the canary's start touched the deployment"
"$bundle" status prod | has 'canary *25 % *running' || fail "status does not show the canary"
seen canary 25
before=$(answers stable)
for _ in $(seq 12); do ask 1 | has '"choices"' || fail "a request had no answer"; done
[ "$(answers canary)" = 3 ] || fail "of 12 requests the canary answered $(answers canary)"
[ "$(answers stable)" = $((before + 9)) ] || fail "the deployment answered $(answers stable)"

# What would be lost when the canary is promoted over it is refused, and says what to do.
[ "$(code_of "$bundle" update prod smollm2:2 --yes)" = 2 ] || fail "an update beside a canary was taken"
has "bundle promote prod" "$BUNDLE_HOME/said" || fail "no command is named: $(cat "$BUNDLE_HOME/said")"
[ "$(code_of "$bundle" delete prod-canary)" = 2 ] || fail "the canary was deleted as a deployment"
[ "$(code_of "$bundle" rollback prod --to 1)" = 2 ] || fail "a rollback went past the canary"
canary=$(status canary.pid)
"$bundle" update prod --canary 50% --quiet >/dev/null
[ "$(status canary.pid) $(status weight)" = "$canary 50" ] || fail "another part restarted the canary"
seen canary 50

# Promoted under open streams, half of them on each revision, while requests keep coming.
for i in 1 2 3 4; do ask 96 true >"$BUNDLE_HOME/stream$i" & streams[i]=$!; done
for i in 1 2 3 4; do
  for _ in $(seq 300); do has content "$BUNDLE_HOME/stream$i" && break; sleep 0.1; done
  has '\[DONE\]' "$BUNDLE_HOME/stream$i" && fail "stream $i was over before the promotion"
done
(while [ ! -e "$BUNDLE_HOME/promoted" ]; do
  ask 1 | has '"choices"' || echo lost >>"$BUNDLE_HOME/lost"
  echo one >>"$BUNDLE_HOME/came"
  sleep 0.2
done) &
knocks=$!
"$bundle" promote prod --quiet >/dev/null
touch "$BUNDLE_HOME/promoted"
wait "$knocks" "${streams[@]}"
for i in 1 2 3 4; do has '^data: \[DONE\]' "$BUNDLE_HOME/stream$i" || fail "stream $i was cut: $(tail -c 300 "$BUNDLE_HOME/stream$i")"; done
[ ! -e "$BUNDLE_HOME/lost" ] || fail "requests were lost in the promotion"
[ "$(wc -l <"$BUNDLE_HOME/came")" -gt 3 ] || fail "too few requests came to show anything"
[ "$(status bundle) $(status revision) $(status url) $(status canary)" = "smollm2:2 2 $url null" ] || fail "after the promotion: $("$bundle" status prod)"
[ -z "$(readlink "/proc/$canary/exe")" ] || fail "the canary still runs"
seen stable 100

# Cut off half-way it is marked, names the next command, and is undone by it.
"$bundle" update prod smollm2:1 --canary 10% --quiet >/dev/null
stable=$(status pid)
"$bundle" promote prod --quiet >/dev/null 2>"$BUNDLE_HOME/said" &
promotion=$!
for _ in $(seq 100); do [ "$(status phase)" = promoting ] && break; sleep 0.05; done
kill -INT "$promotion"
code=0
wait "$promotion" || code=$?
[ "$code" = 130 ] || fail "an interrupted promotion gave $code"
has "bundle rollback prod" "$BUNDLE_HOME/said" || fail "no command is named: $(cat "$BUNDLE_HOME/said")"
"$bundle" status prod | has "was cut off" || fail "the status does not say that it was cut off"
"$bundle" rollback prod --quiet >/dev/null
[ "$(status canary) $(status pid) $(status bundle)" = "null $stable smollm2:2" ] || fail "the rollback touched the deployment"

# A roll under open streams, through the gateway; and one that cuts them is found out.
"$bundle" verify prod --deployment --through "$front" --tokens 64 --output json >"$BUNDLE_HOME/verdict" || fail "$(cat "$BUNDLE_HOME/verdict")"
[ "$(field cut <"$BUNDLE_HOME/verdict") $(field verified <"$BUNDLE_HOME/verdict")" = "0 true" ] || fail "$(cat "$BUNDLE_HOME/verdict")"
[ "$(field open_at_roll <"$BUNDLE_HOME/verdict") $(field same_answer_after <"$BUNDLE_HOME/verdict")" = "4 true" ] || fail "$(cat "$BUNDLE_HOME/verdict")"
[ "$(field answered_meanwhile <"$BUNDLE_HOME/verdict")" -gt 0 ] || fail "nothing was asked meanwhile"
[ "$(status pid)" != "$stable" ] || fail "verify rolled nothing"
[ "$(status revision)" = 2 ] || fail "verify made a revision"
"$bundle" deploy smollm2:2 --name prod --target local --drain-seconds 0 --quiet >/dev/null
[ "$(code_of "$bundle" verify prod --streams 2 --quiet)" = 1 ] || fail "cut streams were verified: $(cat "$BUNDLE_HOME/said")"
has 'CUT' "$BUNDLE_HOME/said" || fail "the cut streams are not shown"

"$bundle" update prod smollm2:1 --canary 0% --quiet >/dev/null
canary=$(status canary.pid)
"$bundle" delete prod --quiet
[ -z "$(readlink "/proc/$canary/exe")" ] || fail "delete left the canary"
"$bundle" status --output json | has '"deployments": *\[\]' || fail "delete left $("$bundle" status)"
echo "canary flow passed"
