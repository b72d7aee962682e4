#!/usr/bin/env bash
# SmolLM2 on a real Slurm: two machines as network namespaces with eight pretended GPUs each. Deploy,
# chat, nothing to change, a refused job, update, a killed server, rollback, scale, to none and back, one
# model over both machines, delete.
# Needs root and `scripts/setup --targets`. Not part of the default run.
#   tests/e2e/targets/slurm.sh BIN_FOLDER SOURCE_FOLDER
set -euo pipefail
. "$(dirname "$0")/../smollm2.sh"
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }

W=$(mktemp -d /tmp/bdl.XXXX)
export BUNDLE_HOME=$W/home SLURM_CONF=$W/slurm.conf
net=10.78.$((RANDOM % 200 + 20)) bridge=bds$((RANDOM % 10000))
started=()
finish() {
  set +e  # what is gone already cannot be ended
  local pid i
  scancel --full --signal=KILL -u root 2>/dev/null
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done
  sleep 1
  for pid in "${started[@]}"; do kill -9 "$pid" 2>/dev/null; done
  for i in 1 2; do ip netns del "$bridge-$i" 2>/dev/null; done
  ip link del "$bridge" 2>/dev/null
  [ -n "${KEEP:-}" ] || rm -rf "$W"
}
trap finish EXIT
fail() {
  echo "FAILED: $*" >&2
  squeue >&2 || true
  tail -5 "$W"/shared/deployments/*/log-* >&2 2>/dev/null || true
  exit 1
}
field() { sed -n "s/.*\"$1\": *\"\\{0,1\\}\\([^\",]*\\).*/\\1/p" | head -1; }
step() { echo "== $* (${SECONDS}s)"; }

step "a cluster of two machines"
mkdir -p "$W"/{home,shared,run,state,dev}
head -c 1024 /dev/urandom >"$W/munge.key"
chmod 0400 "$W/munge.key"
munged --force --foreground --socket="$W/run/munge.sock" --key-file="$W/munge.key" \
  --pid-file="$W/run/munged.pid" --log-file="$W/munged.log" --seed-file="$W/munge.seed" >/dev/null 2>&1 &
started+=($!)
ip link add "$bridge" type bridge
ip addr add "$net.1/24" dev "$bridge"
ip link set "$bridge" up
for g in 0 1 2 3 4 5 6 7; do mknod "$W/dev/gpu$g" c 1 3; done
cat >"$W/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$(hostname)($net.1)
AuthType=auth/munge
AuthInfo=socket=$W/run/munge.sock
SlurmUser=root
SlurmdUser=root
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=30
MailProg=/bin/true
JobAcctGatherType=jobacct_gather/none
StateSaveLocation=$W/state
SlurmdSpoolDir=$W/spool-%n
SlurmctldPidFile=$W/run/slurmctld.pid
SlurmdPidFile=$W/run/slurmd-%n.pid
SlurmctldLogFile=$W/slurmctld.log
SlurmdLogFile=$W/slurmd-%n.log
NodeName=n1 NodeAddr=$net.2 NodeHostname=n1 CPUs=2 RealMemory=6000 Gres=gpu:8
NodeName=n2 NodeAddr=$net.3 NodeHostname=n2 CPUs=2 RealMemory=6000 Gres=gpu:8
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
CONF
echo "NodeName=n[1-2] Name=gpu File=$W/dev/gpu[0-7]" >"$W/gres.conf"
slurmctld -D -f "$W/slurm.conf" >/dev/null 2>&1 &
started+=($!)
start_node() {
  mkdir -p "$W/spool-n$1"
  nsenter --net="/run/netns/$bridge-$1" unshare -u bash -c \
    "hostname n$1; exec slurmd -D -f $W/slurm.conf" >/dev/null 2>&1 &
  started+=($!)
}
for i in 1 2; do
  ip netns add "$bridge-$i"
  ip link add "$bridge.$i" type veth peer name eth0 netns "$bridge-$i"
  ip link set "$bridge.$i" master "$bridge" up
  ip -n "$bridge-$i" addr add "$net.$((i + 1))/24" dev eth0
  ip -n "$bridge-$i" link set eth0 up
  ip -n "$bridge-$i" link set lo up
  start_node $i
done
for _ in $(seq 60); do [ "$(sinfo -h -o %T -N 2>/dev/null | grep -c idle)" = 2 ] && break; sleep 0.5; done
[ "$(sinfo -h -o %T -N | grep -c idle)" = 2 ] || { tail -5 "$W"/*.log >&2; fail "the machines are not idle"; }

"$bundle" build "$model" --name smollm2 --quiet >/dev/null
cat >"$W/d.yaml" <<YAML
name: prod
target: slurm
bundle: smollm2
drain_seconds: 30
env: {HOSTILE: "a b'c\"d\$HOME %j \`x\` \$(touch $W/owned)"}
resources: {gpu: 8, memory: 2Gi}
runtime: {context_length: 1024, threads: 1}
slurm: {folder: $W/shared, partition: main, time_minutes: 60}
YAML
deploy() { "$bundle" deploy -f "$W/d.yaml" --quiet "$@"; }
machine_of() { case $1 in *n1:*) echo 1 ;; *n2:*) echo 2 ;; esac; }
process_on() { # MACHINE NAME: its process of that name
  local pid
  for pid in $(pgrep -x "$2"); do
    [ "$(stat -Lc %i "/proc/$pid/ns/net")" = "$(stat -Lc %i "/run/netns/$bridge-$1")" ] && echo "$pid"
  done
}
ask() { # [DEPLOYMENT]
  local url i
  url=$("$bundle" status "${1:-prod}" --output json | field url)
  i=$(machine_of "$url")
  curl -sf "http://$net.$((i + 1)):${url##*:}/v1/chat/completions" -H 'Content-Type: application/json' -d \
    '{"model":"smollm2","temperature":0,"max_tokens":16,"messages":[{"role":"user","content":"What is the capital of France?"}]}'
}

step "the script passes sbatch --test-only"
deploy --render "$W/render" >/dev/null
bash -n "$W/render/bundle-prod-0.sh"
sbatch --test-only "$W/render/bundle-prod-0.sh" 2>&1 | has "to start at" || fail "the script is refused"

step "deploy"
deploy --plan | has "to start at" || fail "the plan lacks what the scheduler says"
deploy --yes >/dev/null
ask | has Paris || fail "it does not answer"
deploy --yes | has "nothing to change" || fail "a second deploy changed something"
job=$(squeue -h -o %i -n bundle-prod-0)
server=$(pgrep -f "drain-seconds 30.*--port" | head -1)
tr '\0' '\n' <"/proc/$server/environ" | has -xF "HOSTILE=a b'c\"d\$HOME %j \`x\` \$(touch $W/owned)" ||
  fail "HOSTILE did not arrive as it is"
[ ! -e "$W/owned" ] || fail "a value was run"

step "a job that no machine can hold is refused, and nothing changes"
code=0
deploy --yes --set resources.gpu=9 2>"$W/err" >/dev/null || code=$?
[ "$code" = 5 ] || fail "a refused job gave exit code $code: $(cat "$W/err")"
[ "$(squeue -h -o %i -n bundle-prod-0)" = "$job" ] || fail "the refusal changed the job"

step "update and rollback"
"$bundle" update prod --set runtime.context_length=768 --yes --quiet >/dev/null
[ "$(squeue -h -o %i -n bundle-prod-0)" != "$job" ] || fail "the update kept the old job"
ask | has Paris || fail "it does not answer after the update"
"$bundle" rollback prod --quiet >/dev/null
ask | has Paris || fail "it does not answer after the rollback"

step "scale to two machines and back"
"$bundle" scale prod 2 --yes --quiet >/dev/null
[ "$(squeue -h -t R -o %N | sort -u | wc -l)" = 2 ] || fail "two replicas do not run on two machines"
"$bundle" scale prod 1 --yes --quiet >/dev/null
[ "$(squeue -h -o %i | wc -l)" = 1 ] || fail "scaling down left a job"

step "down to none, and back at the first request of a gateway"
"$bundle" scale prod 0 --yes --quiet >/dev/null
[ -z "$(squeue -h -o %i)" ] || fail "a job is left"
"$bundle" status prod --quiet | has asleep || fail "it does not sleep: $("$bundle" status prod)"
# The machines' names are known to the cluster alone.
printf '127.0.0.1 localhost\n%s n1\n%s n2\n' "$net.2" "$net.3" >"$W/hosts"
unshare --mount sh -c 'mount --bind "$1" /etc/hosts; shift; exec "$@"' sh "$W/hosts" \
  "$bundle" gateway --deployment prod --port 16080 --wake "'$bundle' scale prod 1 --yes --quiet" 2>"$W/gateway.log" &
gateway=$!
started+=($gateway)
for _ in $(seq 50); do curl -sf http://127.0.0.1:16080/health >/dev/null && break; sleep 0.1; done
curl -sf --max-time 60 http://127.0.0.1:16080/v1/completions -H 'Content-Type: application/json' -d \
  '{"model":"smollm2","prompt":"The capital of France is","max_tokens":4,"temperature":0}' >"$W/woken" ||
  fail "nobody woke: $(cat "$W/gateway.log")"
has Paris <"$W/woken" || fail "the answer after waking: $(cat "$W/woken")"
kill $gateway && wait $gateway || fail "the gateway's end"

step "asked by the scheduler to end, the job drains and queues itself again"
job=$(squeue -h -o %i -n bundle-prod-0)
scancel --signal=TERM --batch "$job"
for _ in $(seq 60); do [ "$(scontrol show job "$job" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p')" = 1 ] && break; sleep 0.5; done
scontrol show job "$job" | has "Restarts=1" || fail "the job did not queue itself again"

step "a replica over both machines: half of the layers on each"
sed -e 's/^name: prod/name: pair/' -e 's/^resources:.*/resources: {gpu: 8, memory: 2Gi, nodes: 2}/' \
  -e 's/^runtime:.*/runtime: {context_length: 1024, threads: 1, parallel: {pipeline: 2}}/' "$W/d.yaml" >"$W/pair.yaml"
"$bundle" delete prod --quiet >/dev/null
"$bundle" deploy -f "$W/pair.yaml" --quiet --yes >/dev/null
ask pair | has Paris || fail "the two machines do not answer"
token=$(ls "$W"/shared/deployments/pair/group-token-*)
[ "$(stat -c %a "$token")" = 600 ] || fail "others can read the group's token"
[ -n "$(process_on 1 bundle-engine)" ] || fail "the first machine has no rank"
rank=$(process_on 2 bundle-rank)
[ -n "$rank" ] || fail "the second machine has no rank"

step "a rank of the second machine dies, and the two go on"
kill -9 "$rank"
for _ in $(seq 60); do ask pair >"$W/answer" 2>/dev/null && break; sleep 0.5; done
has Paris <"$W/answer" || fail "they do not answer after a rank's death"
[ "$(process_on 2 bundle-rank)" != "$rank" ] || fail "the rank was not started again"
deployment=pair

step "delete leaves nothing"
"$bundle" delete "$deployment" --quiet >/dev/null
[ -z "$(squeue -h)" ] || fail "a job is left"
[ ! -e "$W/shared" ] || [ -z "$(ls -A "$W/shared")" ] || fail "files are left: $(ls -A "$W/shared")"
echo "slurm passed (${SECONDS}s)"
