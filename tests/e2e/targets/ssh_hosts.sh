#!/usr/bin/env bash
# SmolLM2 on two real hosts with systemd, over ssh: deploy, chat, nothing to change, logs, hostile values,
# update with a stream open, a killed server, a broken revision, rollback, sleep and waking, a lost host, delete.
# Needs root, systemd-container and debootstrap; about three minutes. Not part of the default run.
#   tests/e2e/targets/ssh_hosts.sh BIN_FOLDER SOURCE_FOLDER
set -euo pipefail
source=$2
. "$(dirname "$0")/../smollm2.sh"
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }

HOSTS_WORK=${HOSTS_WORK:-$source/build/e2e-hosts}
. "$(dirname "$0")/hosts.sh"
BUNDLE_HOME=$(mktemp -d /tmp/bdl.XXXX)
export BUNDLE_HOME
finish() {
  hosts_stop
  rm -rf "$BUNDLE_HOME"
}
trap finish EXIT
fail() {
  echo "FAILED: $*" >&2
  hosts_ssh 1 journalctl --no-pager -n 15 -u 'bundle-*' >&2 || true
  exit 1
}
field() { sed -n "s/.*\"$1\": *\"\\{0,1\\}\\([^\",]*\\).*/\\1/p" | head -1; }
step() { echo "== $* (${SECONDS}s)"; }

step "two hosts"
hosts_start 2
"$bundle" build "$model" --name smollm2 --quiet >/dev/null
cat >"$BUNDLE_HOME/d.yaml" <<YAML
name: prod
target: ssh
bundle: smollm2
host: 0.0.0.0
replicas: 2
drain_seconds: 60
env:
  HOSTILE: "a b'c\"d\$HOME %h \\\\ \`x\` \$(touch /tmp/owned)"
ssh:
  hosts: [root@${HOST_IP[1]}, root@${HOST_IP[2]}]
  config_file: $HOSTS_WORK/ssh_config
runtime: {context_length: 1024, threads: 1}
YAML
deploy() { "$bundle" deploy -f "$BUNDLE_HOME/d.yaml" --quiet "$@"; }

step "plan and deploy"
deploy --plan | has "start bundle-prod-1.service on root@${HOST_IP[2]}" || fail "the plan lacks a replica"
deploy --yes
[ "$("$bundle" status prod --output json | field state)" = running ] || fail "it does not run"
deploy --yes | has "nothing to change" || fail "a second deploy changed something"
url=$("$bundle" status prod --output json | field url)
ask() {
  curl -sf "$1/v1/chat/completions" -H 'Content-Type: application/json' -d '{"model":"smollm2",
    "temperature":0,"max_tokens":16,"messages":[{"role":"user","content":"What is the capital of France?"}]}'
}
for i in 1 2; do ask "http://${HOST_IP[$i]}:8000" | has Paris || fail "host $i does not answer"; done

step "the logs of both hosts"
"$bundle" logs prod --quiet >"$BUNDLE_HOME/log"
for i in 1 2; do has "^root@${HOST_IP[$i]} | " <"$BUNDLE_HOME/log" || fail "the log lacks host $i"; done
follows_all prod "$BUNDLE_HOME/followed" 2 || fail "the logs of both hosts"

step "values arrive as they are"
pid=$(hosts_ssh 1 systemctl show -p MainPID --value bundle-prod-0.service)
got=$(hosts_ssh 1 "tr '\\0' '\\n' </proc/$pid/environ | sed -n 's/^HOSTILE=//p'")
[ "$got" = 'a b'"'"'c"d$HOME %h \ `x` $(touch /tmp/owned)' ] || fail "HOSTILE became: $got"
hosts_ssh 1 test ! -e /tmp/owned || fail "a value was run"
user=$(hosts_ssh 1 stat -c %U "/proc/$pid")
[ "$user" != root ] || fail "the server runs as root"

step "a killed server comes back"
hosts_ssh 2 systemctl kill -s KILL bundle-prod-1.service
for _ in $(seq 60); do ask "http://${HOST_IP[2]}:8000" >/dev/null 2>&1 && break; sleep 0.5; done
ask "http://${HOST_IP[2]}:8000" | has Paris || fail "the killed server did not come back"

step "update with streams open"
streams=()
for i in 1 2; do
  curl -sN "http://${HOST_IP[$i]}:8000/v1/completions" -H 'Content-Type: application/json' -d \
    '{"model":"smollm2","prompt":"Once","max_tokens":300,"ignore_eos":true,"stream":true}' \
    >"$BUNDLE_HOME/stream$i" &
  streams+=($!)
done
sleep 1
"$bundle" update prod --set runtime.context_length=768 --yes --quiet
for s in "${streams[@]}"; do wait "$s" || fail "a stream broke off"; done
for i in 1 2; do tail -c 40 "$BUNDLE_HOME/stream$i" | has '\[DONE\]' || fail "stream $i was cut"; done
[ "$("$bundle" status prod --output json | field revision)" = 2 ] || fail "the update made no revision"

step "a broken revision is undone"
if "$bundle" update prod --set runtime.kv_tokens=1 --set runtime.context_length=900 --yes --quiet 2>"$BUNDLE_HOME/err"; then
  fail "a revision that cannot start was taken"
fi
grep -q "Revision 2 runs again" "$BUNDLE_HOME/err" || fail "nothing says what runs: $(cat "$BUNDLE_HOME/err")"
ask "$url" | has Paris || fail "the revision before does not run"

step "rollback and scale"
"$bundle" rollback prod --quiet
ask "$url" | has Paris || fail "it does not answer after the rollback"
"$bundle" scale prod 1 --yes --quiet
hosts_ssh 2 test ! -e /etc/systemd/system/bundle-prod-1.service || fail "scaling down left a unit"

step "it sleeps without requests and wakes at the first"
sed "s/^replicas: 2/scaling: {min_replicas: 0, max_replicas: 1, idle_seconds: 3}/" "$BUNDLE_HOME/d.yaml" >"$BUNDLE_HOME/zero.yaml"
"$bundle" deploy -f "$BUNDLE_HOME/zero.yaml" --yes --quiet >/dev/null
for round in 1 2; do
  for _ in $(seq 60); do
    [ "$("$bundle" status prod --output json | field state)" = asleep ] && break
    sleep 0.5
  done
  [ "$("$bundle" status prod --output json | field state)" = asleep ] || fail "it did not go to sleep ($round)"
  for _ in $(seq 60); do ask "http://${HOST_IP[1]}:8000" >"$BUNDLE_HOME/answer" && break; sleep 0.5; done
  has Paris <"$BUNDLE_HOME/answer" || fail "it did not wake up ($round)"
done

step "each deployment has GPUs of its own"
hosts_ssh 1 touch /dev/nvidia0 /dev/nvidia1 /dev/nvidia2
with_gpus() {  # NAME GPUS
  cat >"$BUNDLE_HOME/$1.yaml" <<YAML
name: $1
target: ssh
bundle: smollm2
host: 0.0.0.0
resources: {gpu: $2}
ssh: {hosts: ["root@${HOST_IP[1]}"], config_file: $HOSTS_WORK/ssh_config}
runtime: {context_length: 512, threads: 1, backend: cpu}
YAML
  "$bundle" deploy -f "$BUNDLE_HOME/$1.yaml" --quiet "${@:3}"
}
visible() { hosts_ssh 1 "tr '\\0' '\\n' </proc/\$(systemctl show -p MainPID --value bundle-$1-0.service)/environ" | sed -n 's/^CUDA_VISIBLE_DEVICES=//p'; }
with_gpus first 2 --plan | has "takes GPUs 0 to 1 of the 3" || fail "the plan counts no GPUs"
with_gpus first 2 --yes >/dev/null
with_gpus second 1 --yes >/dev/null
[ "$(visible first) $(visible second)" = "0,1 2" ] || fail "GPUs are shared: $(visible first) $(visible second)"
if with_gpus third 1 --plan 2>"$BUNDLE_HOME/err"; then fail "a host gave more GPUs than it has"; fi
grep -q "has 3 GPUs, and this deployment needs 1 beside those of 'first', 'second'" "$BUNDLE_HOME/err" || fail "nothing says who has them: $(cat "$BUNDLE_HOME/err")"
for name in first second; do "$bundle" delete $name --quiet >/dev/null; done

step "a lost host is named"
hosts_kill 2
code=0
"$bundle" status prod --quiet >/dev/null 2>"$BUNDLE_HOME/err" || code=$?
[ "$code" = 5 ] || fail "a lost host gave exit code $code"
grep -q "${HOST_IP[2]}" "$BUNDLE_HOME/err" || fail "the error does not name the host"
hosts_boot 2

step "delete leaves nothing"
"$bundle" delete prod --quiet
for i in 1 2; do
  left=$(hosts_ssh $i 'ls -A /var/lib/bundle 2>/dev/null; ls /etc/systemd/system | grep ^bundle-; true')
  [ -z "$left" ] || fail "host $i keeps $left"
done
code=0
"$bundle" status prod --file "$BUNDLE_HOME/d.yaml" --quiet >/dev/null 2>&1 || code=$?
[ "$code" = 4 ] || fail "a deleted deployment gave exit code $code"
echo "ssh hosts passed (${SECONDS}s)"
